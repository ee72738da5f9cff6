/** The own tests of paho.mqtt.golang. They know one port, 1883, but any address: so the broker gets an address of its own on this machine. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { startAnyMQ } from '../anymq.ts'
import { runCases } from '../cases/cases.ts'
import { goProgram } from '../install.ts'
import { Running, tail } from '../processes.ts'

/** As many as pass against Mosquitto 2.0. */
const testsInAll = 114

await runCases({
  [`Test_*: all ${testsInAll}`]: async () => {
    const host = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`
    const broker = await startAnyMQ({ extra: ['--host', host, '--port', 'mqtt=1883'] })
    try {
      const program = new Running(goProgram('paho-go.test'), ['-test.v', '-test.timeout=150s', '-test.run=Test_'], {
        env: { TEST_FVT_ADDR: host },
      })
      const { code } = await program.exited
      const failed = [...program.output.matchAll(/^--- FAIL: (\S+)/gm)].map(([, name]) => name)
      assert.deepEqual(failed, [], tail(program.output))
      assert.equal(code, 0, `${tail(program.output)}\n${tail(program.errors)}`)
      assert.equal([...program.output.matchAll(/^--- PASS: /gm)].length, testsInAll)
    } finally {
      await broker.stop()
    }
  },
})
