# The image of the GitHub Action and the command line: Debian's Python, the locked dependencies, Model Gate.
# A user of the image runs the gate, Python, or a shell script. So the image has no package manager and no Perl.
# A release replaces this tag by the digest that it resolves, see .github/workflows/release.yml.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS python
# Debian deletes old package versions, so a pinned version would soon be missing. The digest of the image pins all packages.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates python3 \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log

# This stage removes the packages that only install packages, or manage accounts, services and disks. dpkg's records of
# the other packages stay, so that a scanner finds them. OpenSSL stays: its package has the path where Python looks for
# certificates. The scripts that remove PAM need Perl, so Perl is removed after PAM, and dpkg at the end.
FROM python AS root
RUN purge='dpkg --purge --force-depends --force-remove-essential --force-remove-protected' \
  && $purge libpam-modules libpam-modules-bin libpam-runtime libpam0g login passwd \
  && $purge apt bsdutils debconf debian-archive-keyring diffutils hostname init-system-helpers libapt-pkg7.0 libaudit1 \
    libaudit-common libblkid1 libbsd0 libcap-ng0 libcrypt1 libdebconfclient0 libhogweed6t64 liblastlog2-2 liblz4-1 \
    libmd0 libmount1 libnettle8t64 libseccomp2 libsemanage2 libsemanage-common libsepol2 libsmartcols1 libudev1 \
    libxxhash0 login.defs media-types mount ncurses-bin perl-base sqv sysvinit-utils util-linux \
  && rm -rf /usr/bin/dpkg* /usr/bin/c_rehash /usr/sbin/dpkg* /usr/sbin/update-passwd /usr/lib/dpkg /usr/share/dpkg \
    /usr/share/man /usr/share/info /usr/share/lintian /usr/lib/python3.13/pydoc_data /usr/lib/python3.13/test \
    /var/cache/* /var/lib/dpkg/available /var/lib/dpkg/*-old /var/lib/dpkg/info/*.symbols /var/lib/dpkg/info/*.templates \
  && find /usr/share/doc -type f ! -name copyright -delete

FROM python AS dependencies
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends python3-pip python3-venv \
  && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/runtime.lock .
# botocore describes hundreds of services. Only S3 and its login services are kept, which saves a quarter of the image.
# Azure's asynchronous clients, type stubs and the packages' own tests are not used either.
# The bytecode is compiled here, since a container does not keep any. It is not checked against the source, which never
# changes. Only MLflow keeps its source beside the bytecode: a traceback shows its lines. The other sources are 9 MB.
RUN python3 -m venv --without-pip /opt/model-gate \
  && pip --python /opt/model-gate/bin/python install --quiet --no-compile --only-binary :all: --require-hashes \
    --requirement runtime.lock \
  && find /opt/model-gate/lib/python3.13/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
    ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm --recursive {} + \
  && find /opt/model-gate/lib/python3.13/site-packages -depth \( -name '*.pyi' -o -path '*/azure/storage/*/aio' \
    -o -path '*/azure/identity/aio' -o -name tests -o -path '*/ed25519/test_data' \) -exec rm --recursive {} +
WORKDIR /opt/model-gate/lib/python3.13/site-packages
RUN /opt/model-gate/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$PWD/mlflow" \
  && /opt/model-gate/bin/python -m compileall -q -j 0 -b --invalidation-mode unchecked-hash \
    -x '/site-packages/mlflow/' "$PWD" \
  && find . -path ./mlflow -prune -o -name '*.py' -exec rm {} +

# Model Gate has its own layer, so that a release adds only a small one. The package is pure Python and needs no build; its
# schemas are a symbolic link in the repository, so `cp` dereferences links.
FROM python AS package
WORKDIR /build
COPY schemas schemas
COPY src src
COPY entrypoint /package/entrypoint
RUN mkdir --parents /package/lib/python3.13/site-packages \
  && cp --recursive --dereference src/model_gate /package/lib/python3.13/site-packages/ \
  && python3 -m compileall -q --invalidation-mode unchecked-hash -s /package -p /opt/model-gate /package/lib

FROM scratch
ARG BASE
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Model Gate" \
  org.opencontainers.image.description="Are these two MLflow models the same? Answers with evidence." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.source="${SOURCE}" \
  org.opencontainers.image.base.name="docker.io/library/${BASE}"
# The layers of the base image still contain the removed files, so the image begins with one layer of the other files.
# hadolint ignore=DL3067
COPY --from=root / /
COPY --from=dependencies /opt/model-gate /opt/model-gate
COPY --from=package /package /opt/model-gate
# Without a mounted working directory, the gate runs as the owner of this directory.
RUN install --directory --owner=nobody --group=nogroup /work
WORKDIR /work
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The entrypoint starts as root and drops root at once.
ENTRYPOINT ["/opt/model-gate/bin/python", "-I", "-S", "/opt/model-gate/entrypoint"]
CMD ["--help"]
