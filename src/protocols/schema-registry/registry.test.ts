// The API over a real socket, by its rules; who may do what; and what is left after the power goes.
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { Machine } from '../../../test/support/machine.ts'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { registryOf } from './registry.ts'

const record = (...fields: object[]): string => JSON.stringify({ type: 'record', name: 'R', fields })
const one = record({ name: 'a', type: 'int' })
const two = record({ name: 'a', type: 'int' }, { name: 'b', type: 'int', default: 0 })
const needy = record({ name: 'a', type: 'int' }, { name: 'c', type: 'int' })

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely, and a wrong shape fails the test anyway
type Answer = { status: number; json: any; type: string | null }

suite('the Schema Registry API', () => {
  let broker: EmbeddedBroker
  before(async () => {
    broker = await startBroker({ protocols: ['schema-registry'] })
  })
  after(() => broker.close())

  async function call(method: string, path: string, body?: unknown): Promise<Answer> {
    const content = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
    const response = await fetch(`${broker.url('schema-registry')}${path}`, { method, ...content })
    return { status: response.status, json: await response.json(), type: response.headers.get('content-type') }
  }
  const register = (subject: string, schema: string, more: object = {}): Promise<Answer> =>
    call('POST', `/subjects/${encodeURIComponent(subject)}/versions`, { schema, ...more })
  async function refused(code: number, answer: Promise<Answer>): Promise<string> {
    const { status, json } = await answer
    assert.equal(json.error_code, code, JSON.stringify(json))
    assert.equal(status, Number(String(code).slice(0, 3)))
    return json.message
  }

  test('registers, gives ids, and finds again', async () => {
    const first = await register('find-value', one)
    assert.equal(first.status, 200)
    assert.equal(first.type, 'application/vnd.schemaregistry.v1+json')
    const { id } = first.json
    assert.deepEqual((await register('find-value', one)).json, { id, version: 1 })
    assert.equal((await register('find-other', one)).json.id, id)
    const next = await register('find-value', two)
    assert.notEqual(next.json.id, id)
    assert.deepEqual((await call('GET', '/subjects/find-value/versions')).json, [1, 2])
    assert.deepEqual((await call('GET', '/subjects/find-value/versions/1')).json, {
      subject: 'find-value',
      version: 1,
      id,
      schema: one,
    })
    assert.equal((await call('GET', '/subjects/find-value/versions/latest')).json.version, 2)
    assert.deepEqual((await call('GET', '/subjects/find-value/versions/1/schema')).json, JSON.parse(one))
    assert.deepEqual((await call('GET', `/schemas/ids/${id}`)).json, { schema: one })
    assert.deepEqual((await call('GET', `/schemas/ids/${id}/schema`)).json, JSON.parse(one))
    assert.deepEqual((await call('GET', `/schemas/ids/${id}/subjects`)).json, ['find-other', 'find-value'])
    assert.deepEqual((await call('GET', `/schemas/ids/${id}/versions?subject=find-value`)).json, [
      { subject: 'find-value', version: 1 },
    ])
    const spaced = JSON.stringify(JSON.parse(one), null, 2)
    assert.deepEqual((await call('POST', '/subjects/find-value', { schema: spaced })).json, {
      subject: 'find-value',
      version: 1,
      id,
      schema: one,
    })
    assert.deepEqual((await call('GET', '/subjects?subjectPrefix=find-')).json, ['find-other', 'find-value'])
    assert.deepEqual((await call('GET', '/subjects?subjectPrefix=find-&offset=1&limit=5')).json, ['find-value'])
    assert.equal((await call('GET', '/schemas?subjectPrefix=find-value&latestOnly=true')).json[0].version, 2)
    assert.deepEqual((await call('GET', '/schemas/types')).json, ['JSON', 'PROTOBUF', 'AVRO'])
  })

  test('names what is not there, and what is not right', async () => {
    await register('errors', one)
    assert.equal(await refused(40401, call('GET', '/subjects/nothing/versions')), "Subject 'nothing' not found.")
    await refused(40402, call('GET', '/subjects/errors/versions/9'))
    await refused(40403, call('GET', '/schemas/ids/9999'))
    await refused(40403, call('POST', '/subjects/errors', { schema: two }))
    await refused(40401, call('POST', '/subjects/nothing', { schema: one }))
    await refused(42202, call('GET', '/subjects/errors/versions/first'))
    await refused(42202, call('GET', '/subjects/errors/versions/0'))
    await refused(42201, register('errors', '{"type":"none"}'))
    await refused(42201, register('errors', ''))
    await refused(42201, register('errors', one, { schemaType: 'XML' }))
    await refused(42201, register('errors', one, { references: [{ name: 'a', subject: 'nothing', version: 1 }] }))
    await refused(42208, register(':.context:errors', one))
    await refused(422, register('errors', one, { shema: 'misspelt' }))
    await refused(422, register('errors', one, { ruleSet: { domainRules: [] } }))
    await refused(422, call('POST', '/subjects/errors/versions', 'no json'))
    await refused(404, call('GET', '/nothing'))
    await refused(405, call('PUT', '/subjects'))
  })

  test('the one context may be named, in subjects and in the address', async () => {
    const { id } = (await register(':.:named-value', one)).json
    assert.equal((await call('GET', '/subjects/named-value/versions/1')).json.subject, 'named-value')
    assert.equal((await call('GET', '/subjects/%3A.%3Anamed-value/versions/latest')).json.id, id)
    assert.equal((await call('GET', '/contexts/.:/subjects')).status, 404)
    for (const path of ['/contexts/%3A.%3A', '/contexts/:.:'])
      assert.equal((await call('GET', `${path}/subjects/named-value/versions/1`)).json.id, id, path)
    assert.deepEqual((await call('GET', '/contexts')).json, ['.'])
    const versions = `/schemas/ids/${id}/versions?subject=${encodeURIComponent(':.:named-value')}`
    assert.deepEqual((await call('GET', versions)).json, [{ subject: 'named-value', version: 1 }])
    await refused(40401, call('GET', '/subjects/%3A.other%3Anamed-value/versions'))
  })

  test('keeps to each level of compatibility', async () => {
    // What may follow `one`: needy has a field without default, two one with, less has none of them.
    const less = record()
    const may: Record<string, readonly boolean[]> = {
      NONE: [true, true, true],
      BACKWARD: [true, false, true],
      FORWARD: [true, true, false],
      FULL: [true, false, false],
    }
    for (const [level, expected] of Object.entries(may)) {
      for (const [index, schema] of [two, needy, less].entries()) {
        const subject = `level-${level}-${index}`
        assert.deepEqual((await call('PUT', `/config/${subject}`, { compatibility: level })).json, { compatibility: level })
        await register(subject, one)
        const asked = await call('POST', `/compatibility/subjects/${subject}/versions/latest?verbose=true`, { schema })
        assert.equal(asked.json.is_compatible, expected[index], subject)
        assert.equal(asked.json.messages.length > 0, !expected[index])
        assert.equal((await register(subject, schema)).status, expected[index] ? 200 : 409, subject)
      }
    }
    const details = await refused(409, register('level-FULL-1', needy))
    assert.match(
      details,
      /incompatible with an earlier schema for subject "level-FULL-1", details: \[\{errorType:'READER_FIELD_MISSING/,
    )
  })

  test('compares with all versions where the level is transitive', async () => {
    const [a, b, c] = [record({ name: 'a', type: 'int' }), record(), record({ name: 'a', type: 'string', default: '' })]
    for (const [level, status] of [
      ['BACKWARD', 200],
      ['BACKWARD_TRANSITIVE', 409],
    ] as const) {
      await call('PUT', `/config/t-${level}`, { compatibility: level })
      for (const schema of [a, b]) assert.equal((await register(`t-${level}`, schema)).status, 200)
      assert.equal(
        (await call('POST', `/compatibility/subjects/t-${level}/versions`, { schema: c })).json.is_compatible,
        status === 200,
      )
      assert.equal((await register(`t-${level}`, c)).status, status)
    }
    const optional = record({ name: 'a', type: 'int', default: 0 })
    for (const [level, status] of [
      ['FORWARD_TRANSITIVE', 409],
      ['FULL_TRANSITIVE', 409],
    ] as const) {
      await call('PUT', `/config/t-${level}`, { compatibility: level })
      for (const schema of [optional, record()]) assert.equal((await register(`t-${level}`, schema)).status, 200)
      assert.equal((await register(`t-${level}`, c)).status, status)
    }
  })

  test('has settings for all subjects and for one', async () => {
    assert.deepEqual((await call('GET', '/config')).json, { compatibilityLevel: 'BACKWARD' })
    await refused(40408, call('GET', '/config/set'))
    assert.deepEqual((await call('GET', '/config/set?defaultToGlobal=true')).json, { compatibilityLevel: 'BACKWARD' })
    await refused(42203, call('PUT', '/config/set', { compatibility: 'SOME' }))
    await refused(422, call('PUT', '/config/set', { alias: 'other' }))
    await call('PUT', '/config/set', { compatibility: 'none', normalize: true })
    assert.deepEqual((await call('GET', '/config/set')).json, { compatibilityLevel: 'NONE', normalize: true })
    assert.deepEqual((await call('DELETE', '/config/set')).json, { compatibilityLevel: 'NONE', normalize: true })
    await refused(40408, call('GET', '/config/set'))
    await refused(40401, call('DELETE', '/config/set'))

    assert.deepEqual((await call('GET', '/mode')).json, { mode: 'READWRITE' })
    await refused(40409, call('GET', '/mode/set'))
    await refused(42204, call('PUT', '/mode/set', { mode: 'SOMETIMES' }))
    await register('set', one)
    await call('PUT', '/mode/set', { mode: 'READONLY' })
    await refused(42205, register('set', two))
    await refused(42205, call('DELETE', '/subjects/set'))
    assert.deepEqual((await call('DELETE', '/mode/set')).json, { mode: 'READONLY' })
    assert.equal((await register('set', two)).status, 200)
  })

  test('takes ids and versions as they come in mode IMPORT alone', async () => {
    await refused(42205, register('import', one, { id: 777 }))
    await call('PUT', '/mode/import', { mode: 'IMPORT' })
    assert.deepEqual((await register('import', record({ name: 'z', type: 'int' }), { id: 777, version: 5 })).json, {
      id: 777,
      version: 5,
    })
    await refused(42205, register('import', record({ name: 'y', type: 'int' }), { id: 777, version: 6 }))
    await refused(42205, call('PUT', '/mode/find-value', { mode: 'IMPORT' }))
    assert.equal((await call('PUT', '/mode/import', { mode: 'READWRITE' })).status, 200)
    assert.ok((await register('after-import', record({ name: 'x', type: 'int' }))).json.id > 777)
  })

  test('deletes softly, then for ever', async () => {
    const { id } = (await register('gone', record({ name: 'gone', type: 'int' }))).json
    await register('gone', record({ name: 'gone', type: 'long' }))
    await refused(40407, call('DELETE', '/subjects/gone/versions/1?permanent=true'))
    assert.equal((await call('DELETE', '/subjects/gone/versions/1')).json, 1)
    await refused(40406, call('DELETE', '/subjects/gone/versions/1'))
    await refused(40402, call('GET', '/subjects/gone/versions/1'))
    assert.equal((await call('GET', '/subjects/gone/versions/1?deleted=true')).json.id, id)
    // Consumers of old records still find it.
    assert.equal((await call('GET', `/schemas/ids/${id}`)).status, 200)
    assert.deepEqual((await call('GET', '/subjects/gone/versions?deletedOnly=true')).json, [1])
    await refused(40405, call('DELETE', '/subjects/gone?permanent=true'))
    assert.deepEqual((await call('DELETE', '/subjects/gone')).json, [2])
    await refused(40404, call('DELETE', '/subjects/gone'))
    assert.ok(!(await call('GET', '/subjects')).json.includes('gone'))
    assert.deepEqual((await call('GET', '/subjects?deletedOnly=true')).json, ['gone'])
    assert.deepEqual((await call('DELETE', '/subjects/gone?permanent=true')).json, [1, 2])
    await refused(40403, call('GET', `/schemas/ids/${id}`))
    await refused(40401, call('DELETE', '/subjects/gone'))
  })

  test('keeps what others refer to', async () => {
    const inner = JSON.stringify({ type: 'record', name: 'Inner', fields: [] })
    const references = [{ name: 'Inner', subject: 'inner', version: 1 }]
    await register('inner', inner)
    const outer = JSON.stringify({ type: 'record', name: 'Outer', fields: [{ name: 'i', type: 'Inner' }] })
    const { id } = (await register('outer', outer, { references })).json
    assert.deepEqual((await call('GET', `/schemas/ids/${id}`)).json, { schema: outer, references })
    assert.deepEqual((await call('GET', '/subjects/inner/versions/1/referencedby')).json, [id])
    await refused(42206, call('DELETE', '/subjects/inner'))
    await refused(42206, call('DELETE', '/subjects/inner/versions/1'))
    await call('DELETE', '/subjects/outer')
    await call('DELETE', '/subjects/outer?permanent=true')
    assert.deepEqual((await call('DELETE', '/subjects/inner')).json, [1])
  })

  test('normalizes where it is asked to', async () => {
    const [ordered, other] = ['{"type":"object","title":"a"}', '{"title":"a","type":"object"}']
    const { id } = (await register('normal', ordered, { schemaType: 'JSON' })).json
    assert.notEqual((await register('normal', other, { schemaType: 'JSON' })).json.id, id)
    const asked = await call('POST', '/subjects/normal?normalize=true', { schema: other, schemaType: 'JSON' })
    assert.equal(asked.status, 200)
    await call('PUT', '/config/normal-all', { normalize: true })
    const first = await register('normal-all', ordered, { schemaType: 'JSON' })
    assert.deepEqual((await register('normal-all', other, { schemaType: 'JSON' })).json, first.json)
  })

  test('gives schemas of Protocol Buffers as text or descriptor, whichever it got', async () => {
    const text = 'syntax = "proto3";\n\nmessage M {\n  int32 a = 1;\n}\n'
    const { id } = (await register('proto', text, { schemaType: 'PROTOBUF' })).json
    assert.deepEqual((await call('GET', `/schemas/ids/${id}`)).json, { schema: text, schemaType: 'PROTOBUF' })
    const { schema } = (await call('GET', `/schemas/ids/${id}?format=serialized`)).json
    assert.deepEqual((await register('proto', schema, { schemaType: 'PROTOBUF' })).json, { id, version: 1 })
    await refused(422, call('GET', `/schemas/ids/${id}?format=other`))
  })
})

test('what was registered is there after the power went', async () => {
  const machine = new Machine()
  let broker = await machine.start()
  const submission = { language: 'AVRO', text: one, references: [], metadata: null, id: null, version: null } as const
  const { id } = await registryOf(broker).register('s', submission, false)
  await registryOf(broker).register('other', { ...submission, text: two }, false)
  await registryOf(broker).store.set('compatibility', 's', 'FULL')
  await registryOf(broker).deleteSubject('other', false)
  broker = await machine.crash()
  const registry = registryOf(broker)
  assert.equal(registry.schema(id).text, one)
  assert.deepEqual(registry.versions('s'), [{ subject: 's', version: 1, id, deleted: false }])
  assert.equal(registry.compatibility('s'), 'FULL')
  assert.equal(registry.latest('other'), undefined)
  assert.equal((await registry.register('s', { ...submission, text: two }, false)).id, id + 1)
  await machine.stop()
})
