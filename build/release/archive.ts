import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { filesBelow, type Release, readings, stage, units } from './stage.ts'

/** Makes the archive for hosts without a package manager: one folder with everything, to be unpacked anywhere. */
export async function makeArchive(release: Release): Promise<string> {
  const { arch, version, epoch, built, out, work, level } = release
  const name = `deadpool-${version}-linux-${arch}`
  const folder = join(work, 'archive')
  const items = [
    { path: 'deadpool', from: join(built, 'deadpool'), isExecutable: true },
    ...units().map((unit) => ({ path: `systemd/${unit.name}`, from: unit.from })),
    ...filesBelow(built, 'man'),
    ...filesBelow(built, 'completions'),
    ...readings(release),
  ]
  stage(join(folder, name), items, epoch)
  const file = join(out, `${name}.tar.xz`)
  const plain = join(work, `${name}.tar`)
  const owner = ['--owner=0', '--group=0', '--numeric-owner']
  const same = ['--format=gnu', '--sort=name', `--mtime=@${epoch}`, ...owner]
  await promisify(execFile)('tar', ['-C', folder, ...same, '-cf', plain, name])
  await compress(plain, file, level)
  return file
}

/** One thread, as the bytes of several depend on their number. */
async function compress(plain: string, file: string, level: number): Promise<void> {
  const { XZ_OPT: _, XZ_DEFAULTS: __, ...env } = process.env
  const child = execFile('xz', [`-${level}`, '-T1', '--check=crc64', '-c', plain], {
    encoding: 'buffer',
    maxBuffer: 1e9,
    env,
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  if (!child.stdout) throw new Error('xz has no output')
  await pipeline(child.stdout, createWriteStream(file))
  const code = await ended
  if (code !== 0) throw new Error(`xz ended with ${code}`)
}
