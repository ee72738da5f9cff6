/** Redis by redis-benchmark, 50 clients: lists, streams and channels, one command at a time and sixteen. */
import { runOk } from '../test/interop/processes.ts'
import type { Contender } from './contender.ts'
import type { Figures, Workload } from './workload.ts'

const limitMs = 150_000
const clients = 50
const value = 'x'.repeat(128)

/** One command, over and over. */
async function load(contender: Contender, count: number, pipeline: number, command: readonly string[]): Promise<Figures> {
  const [host = '', port = ''] = contender.address.split(':')
  const output = await runOk(
    'redis-benchmark',
    ['-h', host, '-p', port, '-c', String(clients), '-n', String(count), '-P', String(pipeline), '--csv', ...command],
    { timeoutMs: limitMs },
  )
  // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
  const fields = output
    .trim()
    .split('\n')
    .at(-1)
    ?.match(/"[^"]*"/g)
    ?.map((field) => Number(field.slice(1, -1)))
  const [, perSecond, , , p50Ms, , p99Ms] = fields ?? []
  if (perSecond === undefined || p50Ms === undefined || p99Ms === undefined || Number.isNaN(perSecond))
    throw new Error(`the tool's output was not understood:\n${output.slice(-2_000)}`)
  return { perSecond, p50Ms, p99Ms }
}

async function once(contender: Contender, ...command: readonly string[]): Promise<void> {
  const [host = '', port = ''] = contender.address.split(':')
  const said = await runOk('redis-cli', ['-h', host, '-p', port, ...command], { timeoutMs: 10_000 })
  if (said.startsWith('ERR')) throw new Error(`${contender.name}: ${said}`)
}

export function redisWorkloads(scale: number): readonly Workload[] {
  return [1, 16].flatMap((pipeline) => {
    const count = Math.round((pipeline === 1 ? 200_000 : 1_000_000) * scale)
    const list = `bench:list:${pipeline}`
    const stream = `bench:stream:${pipeline}`
    const one = (name: string, ...command: readonly string[]): Workload => ({
      name: `${name}${pipeline === 1 ? '' : `, ${pipeline} in a pipeline`}`,
      run: (contender) => load(contender, count, pipeline, command),
    })
    const group = one('XREADGROUP, one entry each', 'XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '1', 'STREAMS', stream, '>')
    return [
      one('LPUSH 128 B', 'LPUSH', list, value),
      one('RPOP', 'RPOP', list),
      one('XADD 128 B', 'XADD', stream, '*', 'field', value),
      {
        name: group.name,
        run: async (contender: Contender) => {
          await once(contender, 'XGROUP', 'CREATE', stream, 'g', '0')
          return group.run(contender)
        },
      },
      one('PUBLISH 128 B, nobody listens', 'PUBLISH', 'bench:channel', value),
    ]
  })
}
