import assert from 'node:assert/strict'
import { test } from 'node:test'
import { networkOf, plainAddress } from './ip.ts'

test('an address has one form', () => {
  for (const [text, plain] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['FE80::1%eth0', 'fe80::1'],
    ['example.org', 'example.org'],
    ['', ''],
  ] as const)
    assert.equal(plainAddress(text), plain)
})

test('an address is itself, and lies in its networks', () => {
  const holds = (network: string, address: string) => networkOf(network)?.(address)
  assert.equal(holds('127.0.0.1', '127.0.0.1'), true)
  assert.equal(holds('127.0.0.1', '127.0.0.2'), false)
  assert.equal(holds('0:0:0:0:0:0:0:1', '::1'), true)
  assert.equal(holds('::ffff:10.1.2.3', '10.1.2.3'), true)
  assert.equal(holds('10.0.0.0/8', '10.255.0.1'), true)
  assert.equal(holds('10.0.0.0/8', '11.0.0.1'), false)
  assert.equal(holds('10.0.0.0/8', ''), false)
  assert.equal(holds('fe80::/10', 'fe80::1'), true)
  assert.equal(holds('0.0.0.0/0', '192.168.1.1'), true)
})

test('what is neither an address nor a network is nothing', () => {
  for (const text of ['', '*', 'example.org', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '::/129', 'fe80::1%eth0', '10.0.0/8'])
    assert.equal(networkOf(text), null, text)
})
