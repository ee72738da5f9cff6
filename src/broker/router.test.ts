/** Routing against a matcher that tries every binding, while exchanges, bindings and topics come and go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Binding, ExchangeKind } from './face.ts'
import { Router } from './router.ts'

const words = (pattern: string): string[] => pattern.split('.')
function matches([first, ...rest]: readonly string[], key: readonly string[]): boolean {
  if (first === undefined) return key.length === 0
  if (first === '#') return matches(rest, key) || (key.length > 0 && matches(['#', ...rest], key.slice(1)))
  return key.length > 0 && (first === '*' || first === key[0]) && matches(rest, key.slice(1))
}

interface Known {
  readonly kind: ExchangeKind
  readonly alternate: string | null
}

/** Topics that a key reaches from an exchange, by trying everything. */
function reached(exchanges: ReadonlyMap<string, Known>, bindings: readonly Binding[], from: string, key: string): Set<string> {
  const topics = new Set<string>()
  const seen = new Set<string>()
  const visit = (name: string): void => {
    const exchange = exchanges.get(name)
    if (exchange === undefined || seen.has(name)) return
    seen.add(name)
    const hits = bindings.filter(
      (each) =>
        each.source === name &&
        (exchange.kind === 'fanout' ||
          (exchange.kind === 'direct' ? each.key === key : exchange.kind === 'topic' && matches(words(each.key), words(key)))),
    )
    for (const { destination, destinationKind } of hits) {
      if (destinationKind === 'topic') topics.add(destination)
      else visit(destination)
    }
    if (hits.length === 0 && exchange.alternate !== null) visit(exchange.alternate)
  }
  visit(from)
  return topics
}

const exchangeName = fc.constantFrom('e1', 'e2', 'e3')
const topicName = fc.constantFrom('t1', 't2', 't3')
const key = fc.constantFrom('a', 'b', 'a.b', 'a.b.c')
const pattern = fc.constantFrom('a', 'b', 'a.b', '#', '*', 'a.*', 'a.#', '#.c', '*.b.#')
const binding = fc.record(
  {
    source: exchangeName,
    destination: fc.oneof(topicName, exchangeName),
    key: pattern,
  },
  { noNullPrototype: true },
)
const step = fc.record({
  kind: fc.constantFrom(
    'declare',
    'declare',
    'delete',
    'bind',
    'bind',
    'bind',
    'unbind',
    'topicDeleted',
    'route',
    'route',
    'route',
  ),
  name: exchangeName,
  exchangeKind: fc.constantFrom<ExchangeKind>('direct', 'fanout', 'topic'),
  alternate: fc.option(exchangeName),
  topic: topicName,
  key,
  binding,
})

test('a key reaches what it reaches by trying every binding, whatever was asked and remembered before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const router = new Router(
        () => true,
        () => 0,
      )
      const exchanges = new Map<string, Known>()
      let bindings: Binding[] = []
      for (const { kind, name, exchangeKind, alternate, topic, key: asked, binding: given } of steps) {
        const destinationKind = given.destination.startsWith('t') ? 'topic' : 'exchange'
        const one: Binding = { ...given, destinationKind, arguments: {} }
        const possible = exchanges.has(one.source) && (destinationKind === 'topic' || exchanges.has(one.destination))
        const same = (other: Binding): boolean =>
          other.source === one.source && other.destination === one.destination && other.key === one.key
        if (kind === 'declare' && !exchanges.has(name)) {
          exchanges.set(name, { kind: exchangeKind, alternate })
          router.declare({
            name,
            kind: exchangeKind,
            alternate,
            durable: true,
            autoDelete: false,
            internal: false,
            declaration: {},
          })
        }
        if (kind === 'delete' && exchanges.delete(name)) {
          const gone = bindings.filter(
            (each) => each.source === name || (each.destinationKind === 'exchange' && each.destination === name),
          )
          assert.equal(router.delete(name).length, gone.length)
          bindings = bindings.filter((each) => !gone.includes(each))
        }
        if (kind === 'bind') {
          if (!possible) assert.throws(() => router.bind(one), /no exchange/)
          else {
            const known = bindings.some(same)
            assert.equal(router.bind(one), !known)
            if (!known) bindings.push(one)
          }
        }
        if (kind === 'unbind') {
          assert.equal(router.unbind(one), bindings.some(same))
          bindings = bindings.filter((each) => !same(each))
        }
        if (kind === 'topicDeleted') {
          const kept = bindings.filter((each) => each.destination !== topic)
          assert.equal(router.topicDeleted(topic).length, bindings.length - kept.length)
          bindings = kept
        }
        if (kind !== 'route') continue
        if (!exchanges.has(name)) assert.throws(() => router.route(name, asked, null), /no exchange/)
        else {
          const found = router.route(name, asked, null)
          assert.equal(new Set(found).size, found.length, 'each once')
          assert.deepEqual(new Set(found), reached(exchanges, bindings, name, asked))
        }
      }
    }),
    { numRuns: 300 },
  )
})
