# The user that DeadPool runs as, and the group that may read its configuration. What is there stays as it is.
if ! getent group deadpool >/dev/null; then groupadd --system deadpool; fi
if ! getent passwd deadpool >/dev/null; then
  useradd --system --gid deadpool --no-create-home --home-dir /var/lib/deadpool --shell /usr/sbin/nologin deadpool
fi
