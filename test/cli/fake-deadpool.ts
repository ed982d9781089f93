import { setTimeout as sleep } from 'node:timers/promises'
import { readSpidermanNotes, writeSpidermanNotes } from '../../src/status/state-file.ts'

/**
 * Does what SpiderMan does at a reload, as far as another process sees it: `node fake-deadpool.ts FOLDER NEXT_FOLDER
 * MODE`. It sends "ready" when it listens to SIGHUP.
 */
const [, , folder = '', nextFolder = '', mode = 'fine'] = process.argv
process.on('SIGHUP', async () => {
  if (mode === 'deaf') return
  if (mode === 'ends') process.exit(0)
  await sleep(150)
  const notes = await readSpidermanNotes(folder)
  if (!notes) throw new Error('there are no notes')
  const mistakes = mode === 'mistakes' ? ['deadpool.yml:1:1 WEB: is wrong'] : []
  const reload = { atMs: Date.now(), mistakes }
  if (mode !== 'hands over') return writeSpidermanNotes(nextFolder, { ...notes, reload })
  const { pid, version } = notes
  const heir = { ...notes, pid: pid + 1, predecessor: { pid, version } }
  await writeSpidermanNotes(folder, heir)
  setTimeout(() => void writeSpidermanNotes(folder, { ...heir, reload }), 300)
})
setInterval(() => undefined, 1000)
process.send?.('ready')
