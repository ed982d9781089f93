# What the package does not hold: the folder of the state, and a token of this host's own. It needs no systemd, and changes
# nothing that is there, but for a token that an installation without space or without /dev/urandom left empty.
if [ ! -e /var/lib/deadpool ] && [ ! -L /var/lib/deadpool ]; then
  mkdir /var/lib/deadpool
  chown deadpool:deadpool /var/lib/deadpool
  chmod 0750 /var/lib/deadpool
fi
if [ ! -s /etc/deadpool/token ] && [ ! -L /etc/deadpool/token ]; then
  new=/etc/deadpool/.token.new
  rm -f "$new"
  (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$new") || true
  if [ "$(wc -c <"$new")" != 64 ]; then
    rm -f "$new"
    echo 'No token can be written to /etc/deadpool/token; once there are /dev/urandom and space, install this again' >&2
    exit 1
  fi
  chown root:deadpool "$new"
  chmod 0640 "$new"
  mv "$new" /etc/deadpool/token
fi
