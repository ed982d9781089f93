import type { Outage } from './outage.ts'
import type { Reporter } from './reporter.ts'
import { formatRfc5424 } from './rfc5424.ts'
import { FACILITIES, type LogTarget } from './target.ts'
import { createTcpSender } from './tcp-sender.ts'
import { createUdpSender } from './udp-sender.ts'

type RemoteTarget = LogTarget & { type: 'syslog'; server: string }

/** Sends to the syslog server of the target, over UDP (RFC 5426) or TCP with octet counting (RFC 6587, 3.4.1). */
export function createSyslogReporter(target: RemoteTarget, outage: Outage): Reporter {
  const address = { host: target.server, port: target.port }
  const facility = FACILITIES[target.facility]
  if (target.protocol === 'udp') {
    const udp = createUdpSender(address, outage)
    return {
      write: (entry) => udp.send([Buffer.from(formatRfc5424(entry, facility))]),
      close: (withinMs) => udp.close(withinMs),
    }
  }
  const tcp = createTcpSender(address, outage)
  return {
    write(entry) {
      const message = formatRfc5424(entry, facility)
      tcp.send(`${Buffer.byteLength(message)} ${message}`)
    },
    close: (withinMs) => tcp.close(withinMs),
  }
}
