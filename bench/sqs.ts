/** SQS by a generator of our own. */
import { join } from 'node:path'
import { runOk } from '../test/interop/processes.ts'
import type { Contender } from './contender.ts'
import { type Figures, limitMs, type Workload } from './workload.ts'

/** Fifty connections; what was sent is received and deleted afterwards. */
export function sqsWorkloads(scale: number): readonly Workload[] {
  const single = Math.round(20_000 * scale)
  const batched = Math.round(100_000 * scale)
  const load = async (contender: Contender, mode: string, queue: string, messages: number): Promise<Figures> => {
    const script = join(import.meta.dirname, 'sqs-load.ts')
    const words = [contender.address, mode, queue, String(messages), '200', '50']
    const output = await runOk(process.execPath, [script, ...words], { timeoutMs: limitMs })
    return JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Figures // as sqs-load.ts prints them
  }
  return [
    { name: `send 200 B, ${single} messages`, run: (contender) => load(contender, 'send', 'single', single) },
    { name: 'receive and delete in batches of 10', run: (contender) => load(contender, 'receive', 'single', single) },
    {
      name: `send 200 B in batches of 10, ${batched} messages`,
      run: (contender) => load(contender, 'sendBatch', 'batched', batched),
    },
    { name: 'receive and delete these', run: (contender) => load(contender, 'receive', 'batched', batched) },
  ]
}
