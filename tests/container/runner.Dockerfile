# The image in which `act` runs the jobs of a workflow. The tested workflows need only a shell, git and jq.
FROM debian:trixie-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends git jq \
  && rm -rf /var/lib/apt/lists/*
