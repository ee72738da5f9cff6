// Texts that are nearly schemas: refused as such, or schemas that print to themselves and read what they wrote. Nothing else may be thrown.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSchema } from './parse-schema.ts'
import { InvalidSchema, type Schema, type SchemaLanguage, Unfit } from './schema.ts'

const seeds: Readonly<Record<SchemaLanguage, string>> = {
  AVRO: JSON.stringify({
    type: 'record',
    name: 'a.R',
    fields: [
      { name: 'n', type: ['null', 'int', { type: 'map', values: 'R' }], default: null },
      { name: 'e', type: { type: 'enum', name: 'E', symbols: ['X', 'Y'], default: 'X' } },
      { name: 'f', type: { type: 'fixed', name: 'F', size: 4 } },
    ],
  }),
  JSON: JSON.stringify({
    $id: 'http://a/b',
    type: ['object', 'null'],
    properties: { a: { $ref: '#/definitions/x' }, b: { type: 'array', items: [{ type: 'string', pattern: '^a+$' }] } },
    definitions: { x: { oneOf: [{ type: 'integer', minimum: 3 }, { not: { const: 5 } }] } },
    additionalProperties: { type: 'string' },
  }),
  PROTOBUF: `syntax = "proto3"; package p; option java_package = "x"; message M { reserved 5 to 9, "q"; optional int32 a = 1 [packed = true];
    map<string, M.N> m = 3; oneof o { string s = 10; N n = 11; } message N { E e = 1; } enum E { A = 0; B = -1; } }`,
}

/** A stretch of the text is dropped, doubled, or replaced by a character. */
const change = fc.tuple(
  fc.nat(),
  fc.nat({ max: 20 }),
  fc.constantFrom('drop', 'double', 'replace'),
  fc.string({ minLength: 1, maxLength: 1 }),
)

function changed(text: string, [at, length, how, by]: readonly [number, number, string, string]): string {
  const from = at % (text.length + 1)
  const stretch = text.slice(from, from + length)
  return text.slice(0, from) + (how === 'drop' ? '' : how === 'double' ? stretch + stretch : by) + text.slice(from + length)
}

function parsed(language: SchemaLanguage, text: string): Schema | null {
  try {
    return parseSchema(language, text)
  } catch (cause) {
    if (cause instanceof InvalidSchema) return null
    throw cause
  }
}

function fitOnly(run: () => unknown): void {
  try {
    run()
  } catch (cause) {
    if (!(cause instanceof Unfit)) throw cause
  }
}

for (const language of ['AVRO', 'JSON', 'PROTOBUF'] as const) {
  test(`${language}: mutated texts and any bytes`, () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.uint8Array({ maxLength: 40 }), (changes, bytes) => {
        const schema = parsed(language, changes.reduce(changed, seeds[language]))
        if (schema === null) return
        const again = parseSchema(language, schema.text)
        assert.equal(again.text, schema.text)
        assert.deepEqual(schema.unreadable(again), [])
        fitOnly(() => schema.decode(Buffer.from(bytes)))
        fitOnly(() => schema.encode({ a: 1, n: null }))
      }),
      { numRuns: 150 },
    )
  })
}
