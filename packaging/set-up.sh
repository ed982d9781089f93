# What the package does not hold: the user, the folder of the state, and a token of this host's own. It needs no systemd,
# and changes nothing that is there.
if ! getent passwd deadpool >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/deadpool --shell /usr/sbin/nologin deadpool
fi
if [ ! -e /var/lib/deadpool ]; then
  mkdir /var/lib/deadpool
  chown deadpool:deadpool /var/lib/deadpool
  chmod 0750 /var/lib/deadpool
fi
if [ ! -e /etc/deadpool/token ]; then
  (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >/etc/deadpool/token)
  chown root:deadpool /etc/deadpool/token
  chmod 0640 /etc/deadpool/token
fi
