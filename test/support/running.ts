/** A whole broker in memory on free ports, for tests that need its listeners. */
import { VirtualClock } from '../../src/lib/timers.ts'
import { type RunningBroker, type StartOptions, startRunningBroker } from '../../src/server/start.ts'
import { openMemoryStorage } from '../../src/storage/memory/index.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** What `options` does not say: memory, a clock moved by hand, no log, free ports of the loopback, all protocols that are not optional. */
export function startTestBroker(options: Partial<StartOptions> = {}): Promise<RunningBroker> {
  return startRunningBroker({
    storage: openMemoryStorage(),
    clock: new VirtualClock(),
    log: silent,
    host: '127.0.0.1',
    port: () => 0,
    only: null,
    limits: {},
    skipTakenPorts: false,
    anyHost: false,
    ...options,
  })
}

/** Throws where it has no such listener. */
export function portOf({ listeners }: RunningBroker, name: string): number {
  const listener = listeners.find((each) => each.name === name)
  if (listener === undefined) throw new Error(`no listener "${name}", only ${listeners.map((each) => each.name).join(', ')}`)
  return listener.port
}
