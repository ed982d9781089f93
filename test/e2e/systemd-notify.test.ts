import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runUnderSystemd } from './systemd-host.ts'

/** Each part of the script prints a line `== NAME` before what it has to show. */
const script = `#!/bin/bash
part() { echo "== $1"; }
token() { sed -n "s/.*access_token: '\\(.*\\)'/\\1/p" /etc/deadpool/deadpool.yml; }
ask() { curl -sS -m 5 -w '[%{http_code}]\\n' -H "Authorization: Bearer $(token)" http://127.0.0.1:9001/; }
show() { systemctl show -p ActiveState,SubState,StatusText,MainPID,NRestarts,Result deadpool | sort; }
# Waits until the status is such a one; or until another process than that one is ready.
becomes() { for try in $(seq 100); do [[ $(systemctl show -p StatusText deadpool) == *"$1"* ]] && break; sleep 0.1; done; }
changes() { for try in $(seq 100); do [ "$(pid)" != "$1" ] && systemctl is-active -q deadpool && break; sleep 0.1; done; }
pid() { systemctl show -p MainPID --value deadpool; }

mkdir -p /etc/systemd/system/deadpool.service.d
printf '[Service]\\nWatchdogSec=2\\n' >/etc/systemd/system/deadpool.service.d/watchdog.conf
./deadpool install --now >/dev/null
# A component that is as well as a file says.
sed -i '/^probes:/a\\  disk: { module: exec_probe, period: 1, query: { command: [test, -e, /etc/deadpool/well] } }' /etc/deadpool/deadpool.yml
touch /etc/deadpool/well
systemctl reload deadpool; becomes OK
part started; show; systemctl status deadpool
part dead; rm /etc/deadpool/well; becomes DEAD; show
touch /etc/deadpool/well; becomes OK
part upgrade; before=$(pid); deadpool upgrade; echo "exit $?"
after=$(pid); test "$before" != "$after" && echo changed
# Longer than the watchdog waits: it is the new process that is heard.
sleep 3; test "$(pid)" = "$after" && echo same; show; ask
part watchdog; kill -STOP "$after"; changes "$after"; test "$(pid)" != "$after" && echo changed; show; ask
part socket; systemctl stop deadpool; systemctl start deadpool.socket deadpool; before=$(pid)
(for each in $(seq 20); do ask; done >asked) & systemctl restart deadpool; wait
test "$(pid)" != "$before" && echo changed
sort asked | uniq -c | grep '\\['; show; journalctl -u deadpool | grep -o 'on the passed socket.*' | tail -1 | cut -d' ' -f1-5
part mended; systemctl stop deadpool; sed -i 's/port: 9001/port: 99999/' /etc/deadpool/deadpool.yml
(curl -sS -m 20 -w '[%{http_code}]\\n' -H "Authorization: Bearer $(token)" http://127.0.0.1:9001/ >asked) & sleep 3
systemctl show -p NRestarts deadpool
sed -i 's/port: 99999/port: 9001/' /etc/deadpool/deadpool.yml; wait; cat asked
part 'IPv6 off'; systemctl stop deadpool deadpool.socket
mkdir -p /etc/systemd/system/deadpool.socket.d
printf '[Socket]\\nListenStream=\\nListenStream=9001\\n' >/etc/systemd/system/deadpool.socket.d/all.conf
sysctl -qw net.ipv6.conf.all.disable_ipv6=1
systemctl daemon-reload; systemctl start deadpool.socket deadpool; sleep 3; ask; show
part 'Unix socket'; systemctl stop deadpool deadpool.socket
printf '[Socket]\\nListenStream=\\nListenStream=/run/deadpool.sock\\n' >/etc/systemd/system/deadpool.socket.d/all.conf
systemctl daemon-reload; systemctl start deadpool.socket deadpool; sleep 3
curl -sS -w '[%{http_code}]\\n' -H "Authorization: Bearer $(token)" --unix-socket /run/deadpool.sock http://localhost/; show
journalctl -u deadpool -o cat | grep 'unix:' | tail -1
part names; ps -o comm=,args= -p $(systemctl show -p MainPID --value deadpool); ps -o args= --ppid $(systemctl show -p MainPID --value deadpool)
part stopped; systemctl stop deadpool deadpool.socket; show
`

test('under a systemd: readiness, status, watchdog, upgrade and a socket unit', async (context) => {
  const printed = await runUnderSystemd(context, script)
  if (printed === undefined) return
  const parts = new Map(
    printed.split(/^== /m).map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
  )
  const part = (name: string) => parts.get(name) ?? ''
  const isRunning = /^ActiveState=active\n(.*\n)*SubState=running$/m

  await context.test('the status is the verdict in words', () => {
    assert.match(part('started'), isRunning)
    assert.match(part('started'), /^StatusText=OK: the answer is 200$/m)
    assert.match(part('started'), /^ +Status: "OK: the answer is 200"$/m)
    assert.match(part('dead'), /^StatusText=DEAD: the answer is 503 for disk$/m)
  })
  await context.test('after an upgrade the new process is the main one, and feeds the watchdog', () => {
    assert.match(part('upgrade'), /^upgraded: process \d+ .* in the place of process \d+ .*\nexit 0\nchanged\nsame$/m)
    assert.match(part('upgrade'), /^NRestarts=0$/m)
    assert.match(part('upgrade'), isRunning)
    assert.match(part('upgrade'), /^\[200\]$/m)
  })
  await context.test('a main process that stands still is restarted', () => {
    assert.match(part('watchdog'), /^changed$/m)
    assert.match(part('watchdog'), /^NRestarts=1$/m)
    assert.match(part('watchdog'), /^\[200\]$/m)
  })
  await context.test('a restart under the socket unit fails no request', () => {
    assert.match(part('socket'), /^changed\n +20 \[200\]$/m)
    assert.match(part('socket'), /^on the passed socket deadpool\.socket$/m)
  })
  await context.test(
    'with the socket unit a mistake is tried again each second, and answered as soon as it is mended',
    () => {
      const restarts = Number(/^NRestarts=(\d+)$/m.exec(part('mended'))?.[1])
      assert.ok(restarts >= 1 && restarts <= 3, `${restarts} restarts in 3 s`)
      assert.match(part('mended'), /^\[200\]$/m)
    },
  )
  await context.test('a socket of both kinds feeds the watchdog where IPv6 is off', () => {
    assert.match(part('IPv6 off'), /^\[200\]$/m)
    assert.match(part('IPv6 off'), /^NRestarts=0$/m)
  })
  await context.test('a Unix socket is answered on, named and watched', () => {
    // The probe of a fresh configuration asks the port, where nobody listens now.
    assert.match(part('Unix socket'), /^\[503\]$/m)
    assert.match(part('Unix socket'), /^NRestarts=0$/m)
    assert.match(
      part('Unix socket'),
      / answers at unix:\/run\/deadpool\.sock:\/, on the passed socket deadpool\.socket/m,
    )
  })
  await context.test('the processes are called by their names', () => {
    assert.match(part('names'), /^deadpool +\/usr\/local\/bin\/deadpool run --config \S+$/m)
    assert.match(part('names'), /^deadpool: WatchMan$/m)
  })
  await context.test('a stop is one', () => {
    assert.match(part('stopped'), /^ActiveState=inactive$/m)
    assert.match(part('stopped'), /^Result=success\nStatusText=stopped$/m)
  })
})
