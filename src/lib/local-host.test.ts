import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foreignPage } from './local-host.ts'

test('addresses and localhost are ours, other names are not', () => {
  for (const host of ['', 'localhost', 'localhost:15672', '127.0.0.1:80', '[::1]:7890', '10.1.2.3'])
    assert.equal(foreignPage({ host }), null, host)
  for (const host of ['example.com', 'localhost.example.com:80', 'broker'])
    assert.match(foreignPage({ host }) ?? '', /refused/, host)
})

test('a page of another site is refused, one of this machine is not', () => {
  const host = 'localhost:15672'
  for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:8080'])
    assert.equal(foreignPage({ host, origin }), null, origin)
  for (const origin of ['https://example.com', 'null', 'http://localhost.example.com', 'http://localhost@example.com'])
    assert.match(foreignPage({ host, origin }) ?? '', /pages of/, origin)
})
