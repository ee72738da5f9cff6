// go-nsq's own tests. They know nsqd at 127.0.0.1:4150 and 4151 alone, with the certificate of their sources, so a broker is started there; when a port is
// taken that is said, and nothing else is tested.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAnyMQ } from '../anymq.ts'
import { runCases } from '../cases/cases.ts'
import { goNsqSources, goProgram } from '../install.ts'
import { portIsFree, Running, tail } from '../processes.ts'

const testsMin = 24

async function runTests(): Promise<void> {
  for (const port of [4150, 4151])
    if (!(await portIsFree(port))) throw new Error(`port ${port} is taken, and these tests know no other`)
  const folder = mkdtempSync(join(tmpdir(), 'anymq-go-nsq-'))
  const config = join(folder, 'anymq.yaml')
  writeFileSync(config, `tlsCertificate: ${goNsqSources}/test/server.pem\ntlsKey: ${goNsqSources}/test/server.key\n`)
  const broker = await startAnyMQ({ extra: ['--config', config, '--port', 'nsqd=4150', '--port', 'nsqd-http=4151'] })
  try {
    const program = new Running(goProgram('go-nsq.test'), ['-test.v', '-test.timeout=60s'], { cwd: goNsqSources })
    const { code } = await program.exited
    const verdicts = [...program.output.matchAll(/^--- (PASS|FAIL): (\S+)/gm)]
    const failed = verdicts.filter(([, verdict]) => verdict === 'FAIL').map(([, , name]) => name)
    if (failed.length > 0 || code !== 0) throw new Error(`${failed.join(', ')}\n${tail(program.output)}\n${tail(program.errors)}`)
    if (verdicts.length < testsMin) throw new Error(`only ${verdicts.length} tests ran`)
  } finally {
    await broker.stop()
    await rm(folder, { recursive: true })
  }
}

await runCases({ 'its 24 tests': runTests })
