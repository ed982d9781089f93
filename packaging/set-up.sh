# What the package does not hold: the user, the folder of the state, and a token of this host's own. It needs no systemd,
# and changes nothing that is there.
if ! getent group deadpool >/dev/null; then
  groupadd --system deadpool
fi
if ! getent passwd deadpool >/dev/null; then
  useradd --system --gid deadpool --no-create-home --home-dir /var/lib/deadpool --shell /usr/sbin/nologin deadpool
fi
if [ ! -e /var/lib/deadpool ]; then
  mkdir /var/lib/deadpool
  chown deadpool:deadpool /var/lib/deadpool
  chmod 0750 /var/lib/deadpool
fi
# An empty one is what a full disk left.
if [ ! -s /etc/deadpool/token ] && [ ! -L /etc/deadpool/token ]; then
  # It gets its name when it is whole: half a token would be taken for one. A root that is being made may have no /dev.
  (umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >/etc/deadpool/token.part) || :
  if [ "$(wc -c </etc/deadpool/token.part)" = 64 ]; then
    chown root:deadpool /etc/deadpool/token.part
    chmod 0640 /etc/deadpool/token.part
    mv /etc/deadpool/token.part /etc/deadpool/token
  else
    rm -f /etc/deadpool/token.part
    echo 'DeadPool has no token yet. Run: (umask 027; openssl rand -hex 32 >/etc/deadpool/token); chgrp deadpool /etc/deadpool/token'
  fi
fi
if [ -e /usr/local/share/deadpool/installed.json ]; then
  echo 'DeadPool is here by "deadpool install" as well, and that one is run. To have the one of the package: /usr/local/bin/deadpool uninstall; systemctl reenable deadpool; systemctl restart deadpool'
fi
