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
  const mistakes = mode === 'fine' ? [] : ['deadpool.yml:1:1 WEB: is wrong']
  await writeSpidermanNotes(nextFolder, { ...notes, reload: { atMs: Date.now(), mistakes } })
})
setInterval(() => undefined, 1000)
process.send?.('ready')
