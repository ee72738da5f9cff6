/** What `stats`, `stats-tube`, `stats-job` and the lists say, in YAML as clients parse it. */
import { hostname, machine, version as osVersion } from 'node:os'
import type { Job } from './job.ts'
import type { Server } from './server.ts'
import type { Tube } from './tube.ts'

/** The version of the protocol. */
export const protocolVersion = '1.13'

type Value = string | number

const yaml = (values: readonly (readonly [string, Value])[]): string =>
  `---\n${values.map(([name, value]) => `${name}: ${value}\n`).join('')}`

export const listYaml = (names: Iterable<string>): string => `---\n${[...names].map((name) => `- ${name}\n`).join('')}`

/** The counters of commands, in the order in which they are told. */
const counted = [
  'put',
  'peek',
  'peek-ready',
  'peek-delayed',
  'peek-buried',
  'reserve',
  'reserve-with-timeout',
  'delete',
  'release',
  'use',
  'watch',
  'ignore',
  'bury',
  'kick',
  'touch',
  'stats',
  'stats-job',
  'stats-tube',
  'list-tubes',
  'list-tube-used',
  'list-tubes-watched',
  'pause-tube',
] as const

export function statsYaml(server: Server): string {
  const { counters } = server
  const tubes = [...server.tubes.byName.values()]
  const sum = (of: (tube: Tube) => number): number => tubes.reduce((total, tube) => total + of(tube), 0)
  const { user, system } = process.cpuUsage()
  const seconds = (microseconds: number): string => (microseconds / 1e6).toFixed(6)
  return yaml([
    ['current-jobs-urgent', sum(({ urgent }) => urgent)],
    ['current-jobs-ready', sum(({ ready }) => ready)],
    ['current-jobs-reserved', counters.reserved],
    ['current-jobs-delayed', sum(({ delayed }) => delayed.size)],
    ['current-jobs-buried', sum(({ buried }) => buried.size)],
    ...counted.map((name) => [`cmd-${name}`, counters.counted(name)] as const),
    ['job-timeouts', counters.timeouts],
    ['total-jobs', counters.totalJobs],
    ['max-job-size', server.jobBytesMax],
    ['current-tubes', tubes.length],
    ['current-connections', counters.connections],
    ['current-producers', counters.producers],
    ['current-workers', counters.workers],
    ['current-waiting', counters.waiting],
    ['total-connections', counters.totalConnections],
    ['pid', process.pid],
    ['version', `"${protocolVersion}"`],
    ['rusage-utime', seconds(user)],
    ['rusage-stime', seconds(system)],
    ['uptime', Math.floor((server.broker.clock.now() - server.startedAt) / 1000)],
    ['binlog-oldest-index', 0],
    ['binlog-current-index', 0],
    ['binlog-records-migrated', 0],
    ['binlog-records-written', 0],
    ['binlog-max-size', 0],
    ['draining', String(server.draining)],
    ['id', server.id],
    ['hostname', `"${hostname()}"`],
    ['os', `"${osVersion()}"`],
    ['platform', `"${machine()}"`],
  ])
}

export function tubeYaml(tube: Tube, now: number): string {
  const left = Math.max(0, tube.pausedUntil - now)
  return yaml([
    ['name', `"${tube.name}"`],
    ['current-jobs-urgent', tube.urgent],
    ['current-jobs-ready', tube.ready],
    ['current-jobs-reserved', tube.reserved],
    ['current-jobs-delayed', tube.delayed.size],
    ['current-jobs-buried', tube.buried.size],
    ['total-jobs', tube.totalJobs],
    ['current-using', tube.using],
    ['current-watching', tube.watching],
    ['current-waiting', tube.waiting.size],
    ['cmd-delete', tube.deletes],
    ['cmd-pause-tube', tube.pauses],
    ['pause', left > 0 ? tube.pauseSeconds : 0],
    ['pause-time-left', Math.floor(left / 1000)],
  ])
}

export function jobYaml(job: Job, now: number): string {
  const waits = job.state === 'reserved' || job.state === 'delayed'
  return yaml([
    ['id', job.id],
    ['tube', `"${job.tube.name}"`],
    ['state', job.state],
    ['pri', job.priority],
    ['age', Math.floor(Math.max(0, now - job.createdAt) / 1000)],
    ['delay', job.delaySeconds],
    ['ttr', job.ttrSeconds],
    ['time-left', waits ? Math.floor(Math.max(0, job.dueAt - now) / 1000) : 0],
    ['file', 0],
    ['reserves', job.reserves],
    ['timeouts', job.timeouts],
    ['releases', job.releases],
    ['buries', job.buries],
    ['kicks', job.kicks],
  ])
}
