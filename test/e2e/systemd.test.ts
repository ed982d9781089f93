import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProbeRecord } from '../../src/status/state-file.ts'
import { runUnderSystemd } from './systemd-host.ts'

/** Each part of the script prints a line `== NAME` before what it has to show. */
const script = `#!/bin/bash
part() { echo "== $1"; }
token() { sed -n "s/.*access_token: '\\(.*\\)'/\\1/p" /etc/deadpool/deadpool.yml; }
ask() { curl -sS -w '[%{http_code}]\\n' -H "Authorization: Bearer $(token)" http://127.0.0.1:\${1:-9001}/; }
# The notes, once they know of the first round.
notes() { for try in $(seq 50); do found=$(deadpool status --json); [[ $found == *'not checked yet'* ]] || break; sleep 0.1; done; echo "$found"; }

# While they start, all but their modules is tried.
mkdir -m 755 /srv/servers
(cd /srv/project; exec node_modules/.bin/node test/e2e/confined-servers.ts /srv/servers/own) & servers=$!
part install
./deadpool install --now; echo "exit $?"
sleep 1; ask
part status
systemctl show -p StatusText -p NotifyAccess -p WatchdogUSec deadpool
part again
./deadpool install --now; echo "exit $?"
part 'other unit'
sed s/StartLimit.*// /usr/local/lib/systemd/system/deadpool.service >/etc/systemd/system/deadpool.service
./deadpool install --now; echo "exit $?"; ./deadpool uninstall --dry-run | head -1
rm /etc/systemd/system/deadpool.service; systemctl daemon-reload
part 'new program'
cp -p deadpool former; printf '\\n' >>deadpool
before=$(systemctl show -p MainPID --value deadpool)
./deadpool install >/dev/null
./deadpool install --now; echo "exit $?"
after=$(systemctl show -p MainPID --value deadpool)
systemctl is-active deadpool; [ $before != $after ] && echo other; ask; systemctl show -p NRestarts deadpool
part 'bad program'
cp -p /etc/deadpool/deadpool.yml keep.yml; sed -i 's/port: 9001/port: 99999/' /etc/deadpool/deadpool.yml
cp -p former deadpool
./deadpool install --now; echo "exit $?"; ask
cp -p keep.yml /etc/deadpool/deadpool.yml
part process
main=$(systemctl show -p MainPID --value deadpool)
ps -o user= -p $main; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/$main/status
touch /proc/$main/root/etc/deadpool/x 2>/dev/null && nsenter -t $main -m touch /etc/deadpool/x; echo "touch $?"
part reload
systemctl reload deadpool; echo "exit $?"
part 'refused reload'
cp -p /etc/deadpool/deadpool.yml keep.yml
sed -i 's/port: 9001/port: 99999/' /etc/deadpool/deadpool.yml
systemctl reload deadpool; echo "exit $?"
ask
part modules
cp -p keep.yml /etc/deadpool/deadpool.yml
for try in $(seq 400); do [ -e /srv/servers/own/probes ] && break; sleep 0.1; done
cat >/etc/deadpool/mod/own.ts <<'TS'
import { readFile } from 'node:fs/promises'
import { defineProbe, z } from 'deadpool'
export const Probe = defineProbe({
  summary: 'Reads the time since the start of the host.',
  query: z.strictObject({}),
  facts: { uptime: { about: 'in seconds', type: 'number' } },
  criteria: { uptime: { type: 'gt', query: 0 } },
  probe: async () => ({ uptime: Number.parseFloat(await readFile('/proc/uptime', 'utf8')) }),
})
TS
cat - /srv/servers/own/probes >probes <<'YAML'
  host:
    module: host_probe
    query: { paths: [/, /home] }
    success_criteria:
      disk_free_percent: { type: gte, query: 0 }
      mem_available_percent: { type: gte, query: 0 }
  exec: { module: exec_probe, query: { command: [sh, -c, 'test "$(id -un)" = deadpool'] } }
  icmp: { module: icmp_probe, query: { host: 127.0.0.1, count: 1 } }
  plugin: { module: exec_probe, query: { command: [check_disk, -w, '1%', -c, '0%', -p, /], nagios: true } }
  own: { module: own, query: {} }
  name: { module: url_probe, query: { url: 'http://localhost:9001/' }, success_criteria: { status: { type: status_in, query: [511] } } }
YAML
sed -i '/^probes:/r probes' /etc/deadpool/deadpool.yml
sysctl -qw net.ipv4.ping_group_range='0 2147483647'
systemctl restart deadpool; echo "exit $?"
notes
kill $servers
part credential
cp -p keep.yml /etc/deadpool/deadpool.yml
sed -i 's/access_token: .*/access_token: { credential: token }/' /etc/deadpool/deadpool.yml
echo first-token-0123456789 >/etc/deadpool/token; chown root:root /etc/deadpool/token; chmod 600 /etc/deadpool/token
mkdir -p /etc/systemd/system/deadpool.service.d
printf '[Service]\nLoadCredential=token:/etc/deadpool/token\n' >/etc/systemd/system/deadpool.service.d/token.conf
token() { cat /etc/deadpool/token; }
systemctl daemon-reload; systemctl restart deadpool; echo "exit $?"; ask
systemctl reload deadpool; echo "exit $?"; ask
CREDENTIALS_DIRECTORY=/etc/deadpool deadpool check-config; echo "exit $?"
deadpool upgrade >/dev/null; echo "exit $?"; ask
echo other-token-0123456789 >/etc/deadpool/token; ask; systemctl restart deadpool; ask
grep -az other-token /proc/$(systemctl show -p MainPID --value deadpool)/environ; echo "grep $?"
rm /etc/systemd/system/deadpool.service.d/token.conf
token() { sed -n "s/.*access_token: '\\(.*\\)'/\\1/p" /etc/deadpool/deadpool.yml; }
part 'low port'
cp -p keep.yml /etc/deadpool/deadpool.yml
sed -i 's/9001/81/' /etc/deadpool/deadpool.yml
cat >/etc/systemd/system/deadpool.service.d/port.conf <<'UNIT'
[Service]
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
PrivateUsers=no
UNIT
systemctl daemon-reload; systemctl restart deadpool; ask 81
part 'raw sockets'
sysctl -qw net.ipv4.ping_group_range='1 0'
cp -p keep.yml /etc/deadpool/deadpool.yml
grep icmp: probes >icmp; sed -i '/^probes:/r icmp' /etc/deadpool/deadpool.yml
systemctl stop deadpool; rm -r /var/lib/deadpool/probe; systemctl start deadpool; notes
sed -i s/BIND_SERVICE/RAW/ /etc/systemd/system/deadpool.service.d/port.conf
systemctl daemon-reload; systemctl restart deadpool; notes
part uninstall
./deadpool uninstall; echo "exit $?"
systemctl is-active deadpool; systemctl cat deadpool.socket
ls /etc/deadpool
part 'purge at work'
setpriv --reuid deadpool --regid deadpool --clear-groups sleep 60 & sleeper=$!; sleep 0.2
./deadpool uninstall --purge; echo "exit $?"; ls /etc/deadpool/deadpool.yml
kill $sleeper; wait $sleeper
mount -t tmpfs tmpfs /var/lib/deadpool; touch /var/lib/deadpool/note
part purge
./deadpool uninstall --purge; echo "exit $?"
getent passwd deadpool; ls -d /etc/deadpool /var/lib/deadpool
`

test('the unit under a systemd: installed, started, reloaded, confined, removed', async (context) => {
  const printed = await runUnderSystemd(context, script)
  if (printed === undefined) return
  const parts = new Map(
    printed.split(/^== /m).map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
  )
  const part = (name: string) => parts.get(name) ?? ''
  const step = (name: string, check: () => void) => context.test(name, { timeout: 1000 }, check)

  await step('deadpool install --now starts the service', () => {
    assert.match(part('install'), /^deadpool\.service: enabled, and started$/m)
    assert.match(part('install'), /^exit 0$/m)
    assert.match(part('install'), /^OK\n.*\n\[200\]/m)
  })
  await step('the service says how it is, and is watched', () => {
    assert.match(part('status'), /^StatusText=.*\bOK\b/m)
    assert.match(part('status'), /^WatchdogUSec=30s$/m)
  })
  await step('installing again leaves what runs alone', () => {
    assert.match(part('again'), /^deadpool\.service: is running, and nothing of it is new$/m)
    assert.match(part('again'), /^exit 0$/m)
  })
  await step('a unit of somebody else is told of, and neither started nor stopped', () => {
    assert.match(part('other unit'), /^\/etc\/systemd\/system\/deadpool\.service: counts instead of \/usr\/local\/lib/m)
    assert.match(
      part('other unit'),
      /^deadpool\.service: is not started, since it is another unit that would be\nexit 1\n\/usr\/local\/bin/m,
    )
  })
  await step('installing a new program lets what runs hand over to it', () => {
    assert.match(part('new program'), /^deadpool\.service: handed over to the new program, as by "deadpool upgrade"$/m)
    assert.match(part('new program'), /^exit 0\nactive\nother\nOK\n.*\n\[200\]\nNRestarts=0$/m)
  })
  await step('a new program that cannot start leaves the former one at work, and says why', () => {
    assert.match(part('bad program'), /^.*WEB\.port.*$/m)
    assert.match(part('bad program'), /^the former program goes on; once that is mended: .*deadpool upgrade --config/m)
    assert.match(part('bad program'), /^exit 1\nOK\n.*\n\[200\]/m)
  })
  await step('the service is its own user, without rights', () => {
    assert.match(part('process'), /^deadpool$/m)
    assert.match(part('process'), /^CapEff:\t0+$/m)
    assert.match(part('process'), /^NoNewPrivs:\t1$/m)
    assert.match(part('process'), /^Seccomp:\t2$/m)
    assert.match(part('process'), /^touch 1$/m)
  })
  await step('systemctl reload waits for the word of DeadPool, and fails with a mistake', () => {
    assert.match(part('reload'), /^exit 0$/m)
    assert.match(part('refused reload'), /^exit 1$/m)
  })
  await step('modules work in the confined service', () => {
    assert.match(part('modules'), /^exit 0$/m)
    const outcomes = outcomesOf(part('modules'))
    const stock = ['dns', 'elastic', 'etcd', 'exec', 'grpc', 'host', 'icmp', 'mongo', 'mysql', 'postgres']
    const names = [...stock, 'rabbitmq', 'redis', 'tcp', 'dns_tls', 'own', 'plugin', 'name', 'deadpool']
    assert.deepEqual(outcomes, Object.fromEntries(names.map((name) => [name, 'alive'])))
  })
  await step('a token that only root can read comes by a credential', () => {
    const lines = part('credential').split('\n')
    assert.deepEqual(
      lines.filter((line) => /^exit|\[\d+\]$|^grep/.test(line)),
      [...Array(2).fill(['exit 0', '[200]']).flat(), 'exit 0', 'exit 0', '[200]', 'Auth ERR[511]', '[200]', 'grep 1'],
    )
  })
  await step('a port under 1024 takes three lines of a drop-in', () => {
    assert.match(part('low port'), /^\[200\]$|\[200\]/m)
  })
  await step('icmp_probe needs ping_group_range or CAP_NET_RAW', () => {
    const [without, withRaw] = part('raw sockets')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => outcomesOf(line).icmp)
    assert.equal(without, 'unknown')
    assert.equal(withRaw, 'alive')
  })
  await step('deadpool uninstall stops and removes it, and --purge the rest', () => {
    assert.match(part('uninstall'), /^deadpool\.service: stopped and disabled$/m)
    assert.match(part('uninstall'), /^inactive$/m)
    assert.match(part('uninstall'), /No files found for deadpool\.socket/)
    assert.match(part('uninstall'), /^deadpool\.yml$/m)
    assert.match(
      part('purge at work'),
      /^deadpool: process \d+ runs as the user deadpool; stop it first, and try again$/m,
    )
    assert.match(part('purge at work'), /^exit 1\n\/etc\/deadpool\/deadpool\.yml$/m)
    assert.match(part('purge'), /^\/var\/lib\/deadpool: emptied, and stays, as a disk is mounted there$/m)
    assert.match(part('purge'), /^user deadpool: removed$/m)
    assert.doesNotMatch(part('purge'), /^deadpool:x:|^\/etc\/deadpool$/m)
  })
})

/** What the last check of each probe came to, from the output of `deadpool status --json`. */
function outcomesOf(printed: string): Record<string, string> {
  const { items } = JSON.parse(/^\{.*/m.exec(printed)?.[0] ?? '{}')
  const outcomes = items.map(({ name, record }: { name: string; record: ProbeRecord }) => [name, record.last?.outcome])
  return Object.fromEntries(outcomes)
}
