import { execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { BINARY, finallyDo, makeFolder, skip } from './binary.ts'

/**
 * Runs a script on a host that systemd itself has started as its first process: this host's files under an overlay that is
 * thrown away, with processes, mounts and a network of its own. The binary is `/root/deadpool` there, and the project is
 * `/srv/project`. Gives what the script printed, or undefined where this host cannot make such a host.
 */
export async function runUnderSystemd(context: TestContext, script: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) {
    skip(context, 'a systemd of its own needs root')
    return undefined
  }
  if (!existsSync('/lib/systemd/systemd')) {
    skip(context, 'systemd is missing; apt-get install systemd')
    return undefined
  }
  const out = makeFolder(context)
  try {
    execFileSync('unshare', [...NAMESPACES, 'sh', '-c', `${OVERLAY} true`, 'sh', out], { stdio: 'pipe' })
  } catch (error) {
    context.skip(`this host lets nobody make a host of its own: ${(error as { stderr?: Buffer }).stderr}`)
    return undefined
  }
  cpSync(BINARY, join(out, 'deadpool'))
  writeFileSync(join(out, 'script'), script, { mode: 0o755 })
  writeFileSync(join(out, 'printed'), '')
  const groups = makeGroups(`deadpool-test-${process.pid}`)
  finallyDo(context, groups.remove)
  const args = [
    '-c',
    `${groups.enter} exec unshare ${NAMESPACES.join(' ')} bash -c "$0" bash "$1" "$2"`,
    BOOT,
    out,
    PROJECT,
  ]
  const child = spawn('bash', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += chunk))
  const timer = setTimeout(() => child.kill('SIGKILL'), 90_000)
  await new Promise((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  const printed = readFileSync(join(out, 'printed'), 'utf8')
  if (!printed.includes('THE END')) throw new Error(`the script did not end:\n${printed}\n${errors}`)
  return printed
}

const PROJECT = join(import.meta.dirname, '../..')

const NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child', '--uts', '--ipc', '--cgroup', '--net']

const OVERLAY = `
set -e
out=$1; space=$out/space; root=$space/root
mount --make-rprivate /
mkdir -p $space; mount -t tmpfs tmpfs $space
mkdir $space/upper $space/work $root
mount -t overlay overlay -o lowerdir=/,upperdir=$space/upper,workdir=$space/work $root
`

const BOOT = `${OVERLAY}
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
for folder in run tmp sys/fs/cgroup; do mount -t tmpfs tmpfs $root/$folder; done
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
else
  mkdir $root/sys/fs/cgroup/systemd $root/sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd cgroup $root/sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 $root/sys/fs/cgroup/unified || true
fi
mount -t tmpfs -o mode=755 tmpfs $root/dev
node() { mknod -m 666 $root/dev/$1 c $2 $3; }
node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0
mkdir $root/dev/pts $root/dev/shm; ln -s /proc/self/fd $root/dev/fd
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts; ln -s pts/ptmx $root/dev/ptmx
mkdir -p $root/var/log/journal $root/srv/out
mount --bind $out $root/srv/out
mkdir $root/srv/project; mount --bind $2 $root/srv/project
cp $out/deadpool $root/root/deadpool
ip link set lo up
# Nothing of this host's own is started, and nothing of an installation on it is in the way.
rm -rf $root/etc/systemd/system/*.wants $root/etc/deadpool $root/var/lib/deadpool
: >$root/etc/machine-id
cat >$root/etc/systemd/system/try.target <<'UNIT'
[Unit]
Requires=basic.target try.service
After=basic.target
UNIT
cat >$root/etc/systemd/system/try.service <<'UNIT'
[Unit]
DefaultDependencies=no
After=basic.target
[Service]
Type=oneshot
WorkingDirectory=/root
ExecStart=-/srv/out/script
ExecStart=/bin/echo THE END
StandardOutput=append:/srv/out/printed
StandardError=append:/srv/out/printed
ExecStopPost=/bin/systemctl --no-block exit
UNIT
mkdir $root/former
cd $root
pivot_root . former
umount -l /former
# As on every host that systemd starts outside of a container: mounts of credentials reach their services that way.
mount --make-rshared /
container=other exec /lib/systemd/systemd --unit=try.target --show-status=no
`

/** A control group in each hierarchy, below which that systemd stays. */
function makeGroups(name: string): { enter: string; remove(): void } {
  const isUnified = existsSync('/sys/fs/cgroup/cgroup.controllers')
  const folders = isUnified ? '/sys/fs/cgroup' : '/sys/fs/cgroup/*'
  const enter = `for folder in ${folders}; do
    group=$folder/${name}
    mkdir $group 2>/dev/null || continue
    case $folder in */cpuset) for set in cpus mems; do cat $folder/cpuset.$set >$group/cpuset.$set; done ;; esac
    echo $$ >$group/cgroup.procs
  done;`
  const remove = () => {
    const find = `for group in ${folders}/${name}; do find $group -depth -type d -exec rmdir {} \\; ; done`
    execFileSync('bash', [
      '-c',
      `for try in 1 2 3 4 5; do { ${find}; } 2>/dev/null; ls -d ${folders}/${name} >/dev/null 2>&1 || exit 0; sleep 0.2; done`,
    ])
  }
  return { enter, remove }
}
