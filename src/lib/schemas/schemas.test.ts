// Texts of schemas, and values by them: encodings as the specifications give them, and input that means harm.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSchema } from './parse-schema.ts'
import { ProtobufSchema } from './protobuf/index.ts'
import { InvalidSchema, type SchemaLanguage, Unfit } from './schema.ts'

const avro = (schema: unknown) => parseSchema('AVRO', JSON.stringify(schema))
const hex = (bytes: Buffer): string => bytes.toString('hex')

test('Avro: values have the bytes that the specification shows', () => {
  const record = avro({
    type: 'record',
    name: 'test',
    fields: [
      { name: 'a', type: 'long' },
      { name: 'b', type: 'string' },
    ],
  })
  // "Data Serialization", Records.
  assert.equal(hex(record.encode({ a: 27, b: 'foo' })), '3606666f6f')
  assert.deepEqual(record.decode(Buffer.from('3606666f6f', 'hex')), { a: 27, b: 'foo' })
  const array = avro({ type: 'array', items: 'long' })
  assert.equal(hex(array.encode([3, 27])), '04063600')
  const union = avro(['null', 'string'])
  assert.equal(hex(union.encode(null)), '00')
  assert.equal(hex(union.encode({ string: 'a' })), '020261')
  for (const [value, bytes] of [
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [-64, '7f'],
    [64, '8001'],
    [2n ** 63n - 1n, 'feffffffffffffffff01'],
    [-(2n ** 63n), 'ffffffffffffffffff01'],
  ] as const) {
    assert.equal(hex(avro('long').encode(value)), bytes)
    assert.equal(avro('long').decode(Buffer.from(bytes, 'hex')), value)
  }
})

test('Avro: every kind of value comes back', () => {
  const schema = avro({
    type: 'record',
    name: 'a.R',
    fields: [
      { name: 'n', type: 'null' },
      { name: 'b', type: 'boolean' },
      { name: 'i', type: 'int' },
      { name: 'd', type: 'double' },
      { name: 'y', type: 'bytes' },
      { name: 'f', type: { type: 'fixed', name: 'F', size: 2 } },
      { name: 'e', type: { type: 'enum', name: 'E', symbols: ['X', 'Y'] } },
      { name: 'm', type: { type: 'map', values: ['null', 'E'] } },
      { name: 'next', type: ['null', 'R'] },
    ],
  })
  const inner = { n: null, b: true, i: -5, d: 0.5, y: 'ÿ\0', f: 'ab', e: 'Y', m: {}, next: null }
  const value = { ...inner, m: { a: null, b: { 'a.E': 'X' } }, next: { 'a.R': inner } }
  assert.deepEqual(schema.decode(schema.encode(value)), value)
  assert.equal(schema.recordName, 'a.R')
})

test('Avro: bytes that are not by the schema are refused, and none take memory that they do not pay for', () => {
  const nulls = avro({ type: 'array', items: 'null' })
  const rejects = (schema: ReturnType<typeof avro>, bytes: string): void => {
    assert.throws(() => schema.decode(Buffer.from(bytes, 'hex')), Unfit)
  }
  rejects(nulls, 'feffffffffffffffff01') // nine quintillion of them
  rejects(avro('string'), 'feffffffffffffffff01')
  rejects(avro('string'), '0601') // shorter than it says
  rejects(avro('string'), '02ff') // no UTF-8
  rejects(avro('boolean'), '02')
  rejects(avro('int'), 'feffffffffffffffff01')
  rejects(avro('long'), 'ffffffffffffffffffff01')
  rejects(avro(['null']), '02')
  rejects(avro('null'), '00') // something follows
  const list = avro({ type: 'record', name: 'L', fields: [{ name: 'next', type: ['null', 'L'] }] })
  rejects(list, '02'.repeat(100_000))
  assert.throws(() => avro('int').encode(1.5), Unfit)
  assert.throws(() => list.encode({}), /the field next is missing/)
  assert.throws(() => list.encode({ next: null, other: 1 }), /no field other/)
})

test('texts that are no schemas are refused', () => {
  const bad: readonly (readonly [SchemaLanguage, string])[] = [
    ['AVRO', ''],
    ['AVRO', '{'],
    ['AVRO', '"nothing"'],
    ['AVRO', '{"type":"record"}'],
    ['AVRO', '{"type":"record","name":"a b","fields":[]}'],
    ['AVRO', '{"type":"record","name":"a","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]}'],
    ['AVRO', '{"type":"enum","name":"a","symbols":["x","x"]}'],
    ['AVRO', '["int","int"]'],
    ['AVRO', '["int",["string"]]'],
    ['AVRO', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['AVRO', `{"type":"record","name":"R","doc":"${'x'.repeat(1024 * 1024)}","fields":[]}`],
    ['JSON', `{"title":"${'x'.repeat(128 * 1024)}"}`],
    ['PROTOBUF', `message M { } // ${'x'.repeat(256 * 1024)}`],
    ['JSON', ''],
    ['JSON', '1'],
    ['JSON', '{"type":"wrong"}'],
    ['JSON', '{"$ref":"#/definitions/missing"}'],
    ['JSON', '{"$schema":"http://json-schema.org/draft-04/schema#"}'],
    ['JSON', '{"pattern":"(?=look)","type":"string"}'],
    ['PROTOBUF', 'message'],
    ['PROTOBUF', 'message M { Missing a = 1; }'],
    ['PROTOBUF', 'syntax = "proto3"; message M { int32 a = 1; int32 b = 1; }'],
    ['PROTOBUF', 'message M { optional int32 a = 0; }'],
    ['PROTOBUF', 'import "missing.proto"; message M { }'],
    ['PROTOBUF', 'syntax = "proto3"; message M { } message M { }'],
    ['PROTOBUF', `${'message M { '.repeat(1000)}${'} '.repeat(1000)}`],
    ['PROTOBUF', 'AAAA'],
  ]
  for (const [language, text] of bad)
    assert.throws(() => parseSchema(language, text), InvalidSchema, `${language} ${text.slice(0, 60)}`)
})

test('white space makes no other schema, and normalizing forgets the order of attributes', () => {
  const text = (language: SchemaLanguage, schema: string): string => parseSchema(language, schema).text
  assert.equal(
    text('AVRO', '{ "name": "R", "type": "record", "fields": [ ] }'),
    text('AVRO', '{"type":"record","name":"R","fields":[]}'),
  )
  assert.equal(text('JSON', '{ "type": "string" }'), '{"type":"string"}')
  assert.equal(
    text('PROTOBUF', 'syntax="proto3";message M{int32 a=1;}'),
    text('PROTOBUF', 'syntax = "proto3"; // a\nmessage M {\n int32 a = 1; }'),
  )
  assert.equal(parseSchema('JSON', '{"b":1,"a":2}').normalized, parseSchema('JSON', '{"a":2,"b":1}').normalized)
  const named = avro({
    type: 'record',
    name: 'R',
    namespace: 'n',
    doc: 'd',
    fields: [{ name: 'a', type: { type: 'int', z: 1, b: 2 }, default: 0 }],
  })
  assert.equal(
    named.normalized,
    '{"type":"record","name":"R","namespace":"n","doc":"d","fields":[{"name":"a","type":{"type":"int","b":2,"z":1},"default":0}]}',
  )
})

test('schemas refer to others by name', () => {
  const inner = avro({ type: 'record', name: 'a.Inner', fields: [] })
  const outer = parseSchema('AVRO', '{"type":"record","name":"Outer","fields":[{"name":"i","type":"a.Inner"}]}', [
    { name: 'a.Inner', schema: inner },
  ])
  assert.deepEqual(outer.decode(outer.encode({ i: {} })), { i: {} })
  assert.match(outer.text, /"type":"a.Inner"/)

  const text = parseSchema('JSON', '{"type":"string"}')
  for (const id of ['', '"$id":"http://example.com/root.json",']) {
    const object = parseSchema('JSON', `{${id}"properties":{"a":{"$ref":"text.json"}}}`, [{ name: 'text.json', schema: text }])
    assert.deepEqual(object.decode(Buffer.from('{"a":"b"}')), { a: 'b' })
    assert.throws(() => object.decode(Buffer.from('{"a":1}')), Unfit)
    assert.equal(object.unreadable(object).length, 0)
  }

  const other = parseSchema('PROTOBUF', 'syntax = "proto3"; package o; message Other { string s = 1; }')
  const main = 'syntax = "proto3"; import "other.proto"; import "google/protobuf/timestamp.proto";'
  const importing = parseSchema('PROTOBUF', `${main} message M { o.Other other = 1; google.protobuf.Timestamp at = 2; }`, [
    { name: 'other.proto', schema: other },
  ])
  const value = { other: { s: 'x' }, at: '2020-01-01T00:00:00Z' }
  assert.deepEqual(importing.decode(importing.encode(value)), value)
})

test('JSON: drafts, and patterns that would take for ever elsewhere', () => {
  const slow = parseSchema('JSON', '{"type":"string","pattern":"^(a+)+$"}')
  assert.throws(() => slow.decode(Buffer.from(JSON.stringify(`${'a'.repeat(50_000)}b`))), Unfit)
  const tuple = parseSchema(
    'JSON',
    '{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"string"}],"items":false}',
  )
  assert.deepEqual(tuple.decode(Buffer.from('["a"]')), ['a'])
  assert.throws(() => tuple.decode(Buffer.from('["a",1]')), Unfit)
  assert.throws(() => slow.decode(Buffer.from('{')), /no JSON/)
})

const everything = `syntax = "proto3";
package shop.v1;

import "google/protobuf/wrappers.proto";

option java_package = "com.example";
option java_multiple_files = true;

message Order {
  option deprecated = true;
  reserved 20 to 30;
  reserved 40;
  reserved "old";
  int64 id = 1 [json_name = "ID"];
  optional string note = 2;
  repeated double prices = 3 [packed = false];
  map<string, Line> lines = 4;
  .google.protobuf.StringValue wrapped = 5;
  State state = 6;
  oneof payment {
    string card = 7;
    bytes cash = 8;
  }
  message Line {
    uint32 count = 1;
  }
  enum State {
    NEW = 0;
    DONE = 1;
  }
}

service Orders {
  rpc Get (Order) returns (stream Order);
}
`

test('Protocol Buffers: what is printed is what was written, also by way of a descriptor', () => {
  const schema = parseSchema('PROTOBUF', everything)
  assert.ok(schema instanceof ProtobufSchema)
  assert.equal(schema.text, everything)
  assert.equal(schema.recordName, 'shop.v1.Order')
  const again = parseSchema('PROTOBUF', schema.serialized('order.proto'))
  // A descriptor names types in full.
  assert.equal(again.text.replaceAll('.shop.v1.Order.', '').replaceAll('.shop.v1.', ''), everything)
  assert.deepEqual(again.unreadable(schema), [])
  assert.deepEqual(schema.unreadable(again), [])
  const value = {
    id: '5',
    note: '',
    prices: [1.5],
    lines: { a: { count: 2 } },
    wrapped: 'w',
    state: 'DONE',
    cash: 'AAE=',
  }
  assert.deepEqual(schema.decode(schema.encode({ ...value, id: 5 })), value)
  assert.deepEqual(schema.decode(again.encode(value)), value)
  assert.deepEqual(schema.decode(schema.encode({ count: 1 }, [0, 0]), [0, 0]), { count: 1 })
  assert.throws(() => schema.decode(Buffer.from([0xff])), Unfit)
  assert.throws(() => schema.decode(Buffer.alloc(0), [3]), Unfit)
  assert.throws(() => schema.encode({ unknown: 1 }), Unfit)
})

test('Protocol Buffers: proto2 with defaults, required fields, extensions and custom options', () => {
  const text = `syntax = "proto2";
import "google/protobuf/descriptor.proto";
message M { required string a = 1 [default = "x\\ty"]; optional E e = 2 [default = B]; extensions 100 to max; }
enum E { A = 0; B = 5; }
extend M { optional int32 more = 100; }
extend google.protobuf.FieldOptions { optional string tag = 50000; }
message N { optional string n = 1 [(tag) = "v", deprecated = true]; }`
  const schema = parseSchema('PROTOBUF', text)
  assert.deepEqual(schema.decode(schema.encode({ a: 'v', e: 'B' })), { a: 'v', e: 'B' })
  assert.throws(() => schema.encode({}), Unfit)
  assert.match(schema.text, /\(tag\) = "v"/)
})
