# What a job runs in when `act` plays the runner: a shell and git are all that the workflows here need.
FROM debian:trixie-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends git jq \
  && rm -rf /var/lib/apt/lists/*
