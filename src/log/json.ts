import type { Reporter } from './reporter.ts'
import type { StreamWriter } from './stream-writer.ts'

/** One JSON object a line: `time` (ISO, UTC), `level`, `message`, `role`, `name`, then the fields beside them. */
export function createJsonReporter(writer: StreamWriter): Reporter {
  return {
    write({ time, level, message, role, name, fields }) {
      writer.write(JSON.stringify({ time, level, message, role, name, ...fields }))
    },
    close: (withinMs) => writer.close(withinMs),
  }
}
