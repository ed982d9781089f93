# Two installations would share the service, the configuration and the user; "deadpool install" refuses as well.
for found in /usr/local/lib/systemd/system/deadpool.service /usr/local/share/deadpool/installed.json; do
  if [ -e "$found" ]; then
    echo "DeadPool is there by \"deadpool install\" ($found), and would go before this package." >&2
    echo 'Run first: sudo /usr/local/bin/deadpool uninstall. It keeps /etc/deadpool and /var/lib/deadpool. What it leaves, remove by hand.' >&2
    exit 1
  fi
done
