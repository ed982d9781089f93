# A DeadPool that runs hands over to the new program, and no request fails; where it cannot, it goes on as it is. A service
# that runs another program is somebody else's.
if systemctl --quiet is-active deadpool.service && @is-ours@; then
  if ! /usr/bin/deadpool upgrade --config /etc/deadpool/deadpool.yml; then
    echo 'The former DeadPool goes on. Once that is mended, run: deadpool upgrade'
  fi
fi
