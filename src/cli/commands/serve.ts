/** `anymq serve`: the broker, until SIGTERM or SIGINT. */
import { isIPv4 } from 'node:net'
import type { Broker, Logger, OpenListener } from '../../broker/face.ts'
import { SystemClock } from '../../lib/timers.ts'
import { protocolsToOpen } from '../../protocols/table.ts'
import { type RunningBroker, startRunningBroker } from '../../server/start.ts'
import { openLocalStorage } from '../../storage/local/index.ts'
import type { ParsedArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { createLog } from '../log.ts'
import { portOf, resolveSettings, type Settings, settingsOptions, tlsSettings, tokenSettings } from '../settings.ts'
import { formatTable } from '../table.ts'
import { UsageError } from '../usage-error.ts'

export const command: Command = {
  name: 'serve',
  usage: '[OPTIONS]',
  summary:
    'Run the broker. Each option is also a variable (--port-offset is ANYMQ_PORT_OFFSET) and a key of the configuration file (portOffset).',
  options: settingsOptions,
  run,
}

async function run(parsed: ParsedArguments): Promise<number> {
  const [extra] = parsed.positionals
  if (extra !== undefined) throw new UsageError(`serve takes options only, not "${extra}"`)
  const settings = resolveSettings(parsed, process.env)
  const { log } = await createLog(settings.logLevel)
  const stopped = stopSignal()
  const running = await startRunningBroker({
    storage: openLocalStorage(settings.data, settings.durability === 'fsync'),
    clock: new SystemClock(),
    log,
    host: settings.host,
    port: (listener) => portOf(settings, listener),
    only: protocolsToOpen(settings.only, settings.enable),
    limits: settings.limits,
    skipTakenPorts: settings.skipTakenPorts,
    anyHost: settings.insecure,
    webSocketCompression: settings.webSocketCompression,
    tls: tlsSettings(settings),
    advertise: settings.advertise,
    tokens: tokenSettings(settings),
    protocolSettings: settings.protocolSettings,
    beforeListening: async (broker) => {
      for (const { name, ...user } of settings.users) await broker.users.put(name, user)
      refuseOpenDoor(settings, broker)
    },
  })
  const milliseconds = Math.round(performance.now())
  process.stdout.write(`${listenerTable(running.listeners)}\n`)
  process.stdout.write(`AnyMQ ready in ${milliseconds} ms (data in ${settings.data}, durability ${settings.durability})\n`)
  process.on('SIGHUP', () => reload(running, log))
  log.info({ signal: await stopped }, 'stopping')
  await running.stop()
  return 0
}

/** A certificate that is renewed wrongly must not end a broker that runs. */
function reload(running: RunningBroker, log: Logger): void {
  try {
    running.reloadCertificates()
    log.info({}, 'certificates were read again')
  } catch (cause) {
    const error = cause instanceof Error ? cause.message : String(cause)
    log.error({ error }, 'certificates could not be read again; the old ones stay')
  }
}

/** Without users everybody may do everything, so everybody must mean this machine. */
function refuseOpenDoor(settings: Settings, broker: Broker): void {
  if (settings.insecure || broker.authenticationRequired || isLoopback(settings.host)) return
  throw new UsageError(
    `--host ${settings.host} lets other machines in, but no users are configured, so anybody could read and delete everything. ` +
      'Add users to the configuration file, listen on 127.0.0.1, or accept it with --insecure',
  )
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Resolves at the first signal; at the second the process ends at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(1)
      asked = true
      resolve(signal)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

function listenerTable(listeners: readonly OpenListener[]): string {
  return formatTable([
    ['LISTENER', 'ADDRESS'],
    ...listeners.map((each) => [each.name, `${each.host.includes(':') ? `[${each.host}]` : each.host}:${each.port}`]),
  ])
}
