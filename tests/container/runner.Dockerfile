# The image of a job with `act` as the runner. The tested workflows need only a shell, git and jq.
FROM debian:trixie-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends git jq \
  && rm -rf /var/lib/apt/lists/*
