/** redis-cli, which Disque's users have beside its own: commands as words, and a pipeline of them. */
import assert from 'node:assert/strict'
import { runCases, setting, unique } from '../cases/cases.ts'
import { runOk } from '../processes.ts'

const [host = '', port = ''] = setting('DISQUE').split(':')

async function cli(...words: string[]): Promise<string> {
  return (await runOk('redis-cli', ['-h', host, '-p', port, ...words])).trim()
}

await runCases({
  'jobs are added, handed out and acknowledged': async () => {
    const queue = unique('cli')
    const id = await cli('ADDJOB', queue, 'body', '0', 'RETRY', '60')
    assert.match(id, /^D-[0-9a-f]{8}-[A-Za-z0-9+/]{24}-05a1$/)
    assert.deepEqual((await cli('GETJOB', 'NOHANG', 'FROM', queue)).split('\n'), [queue, id, 'body'])
    assert.equal(await cli('ACKJOB', id), '1')
    assert.equal(await cli('SHOW', id), '')
    assert.equal(await cli('QLEN', queue), '0')
  },
  'errors are told': async () => {
    assert.match(await cli('GETJOB', 'orders'), /ERR syntax error/)
    assert.match(await cli('ACKJOB', 'x'), /BADID Invalid Job ID format\./)
  },
  'HELLO says where this node is': async () => {
    const [version, id, same, ip, at, priority] = (await cli('HELLO')).split('\n')
    assert.deepEqual([version, same, ip, at, priority], ['1', id, host, port, '1'])
  },
})
