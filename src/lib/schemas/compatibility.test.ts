// Verdicts that are known: by the Avro specification's schema resolution, by the language guide of Protocol Buffers, and by what a value may be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSchema } from './parse-schema.ts'
import type { SchemaLanguage } from './schema.ts'

/** Reader, writer, and the types of incompatibilities. */
type Row = readonly [name: string, reader: unknown, writer: unknown, types: readonly string[]]

const record = (...fields: object[]): object => ({ type: 'record', name: 'R', fields })
const field = (name: string, type: unknown, more: object = {}): object => ({ name, type, ...more })
const choice = (symbols: readonly string[], more: object = {}): object => ({ type: 'enum', name: 'E', symbols, ...more })

const avro: readonly Row[] = [
  ['the same', record(field('a', 'int')), record(field('a', 'int')), []],
  ['int is read as long', '"long"', '"int"', []],
  ['int is read as float', '"float"', '"int"', []],
  ['int is read as double', '"double"', '"int"', []],
  ['long is read as float', '"float"', '"long"', []],
  ['long is read as double', '"double"', '"long"', []],
  ['float is read as double', '"double"', '"float"', []],
  ['string is read as bytes', '"bytes"', '"string"', []],
  ['bytes are read as string', '"string"', '"bytes"', []],
  ['long is not read as int', '"int"', '"long"', ['TYPE_MISMATCH']],
  ['double is not read as float', '"float"', '"double"', ['TYPE_MISMATCH']],
  ['int is not read as string', '"string"', '"int"', ['TYPE_MISMATCH']],
  ['a field that was not written needs a default', record(field('a', 'int')), record(), ['READER_FIELD_MISSING_DEFAULT_VALUE']],
  ['a field with a default', record(field('a', 'int', { default: 1 })), record(), []],
  ['a field whose default is null', record(field('a', ['null', 'int'], { default: null })), record(), []],
  ['an enum with a default of its own', record(field('a', choice(['X'], { default: 'X' }))), record(), []],
  ['a field that is not read', record(), record(field('a', 'int')), []],
  ['a field by its alias', record(field('b', 'int', { aliases: ['a'] })), record(field('a', 'int')), []],
  ['fields in another order', record(field('b', 'int'), field('a', 'int')), record(field('a', 'int'), field('b', 'int')), []],
  ['a field of another type', record(field('a', 'string')), record(field('a', 'int')), ['TYPE_MISMATCH']],
  ['records of other names', { ...record(), name: 'S' }, record(), ['NAME_MISMATCH']],
  ['records of other namespaces', { ...record(), namespace: 'n' }, record(), []],
  ['a record by its alias', { ...record(), name: 'S', aliases: ['R'] }, record(), []],
  ['more symbols', choice(['X', 'Y']), choice(['X']), []],
  ['fewer symbols', choice(['X']), choice(['X', 'Y']), ['MISSING_ENUM_SYMBOLS']],
  ['fewer symbols and a default', choice(['X'], { default: 'X' }), choice(['X', 'Y']), []],
  [
    'fixed of another size',
    { type: 'fixed', name: 'F', size: 2 },
    { type: 'fixed', name: 'F', size: 3 },
    ['FIXED_SIZE_MISMATCH'],
  ],
  ['fixed is not read as bytes', '"bytes"', { type: 'fixed', name: 'F', size: 3 }, ['TYPE_MISMATCH']],
  ['items are promoted', { type: 'array', items: 'long' }, { type: 'array', items: 'int' }, []],
  ['values are not demoted', { type: 'map', values: 'int' }, { type: 'map', values: 'long' }, ['TYPE_MISMATCH']],
  ['an array is no map', { type: 'map', values: 'int' }, { type: 'array', items: 'int' }, ['TYPE_MISMATCH']],
  ['what is in the union', ['null', 'int'], '"int"', []],
  ['what is promoted into the union', ['null', 'long'], '"int"', []],
  ['what is not in the union', ['null', 'int'], '"string"', ['MISSING_UNION_BRANCH']],
  ['a branch more', ['null', 'int', 'string'], ['null', 'int'], []],
  ['a branch less', ['null', 'int'], ['null', 'int', 'string'], ['MISSING_UNION_BRANCH']],
  ['each branch of a union as one type', '"double"', ['int', 'long'], []],
  ['one branch of a union that is not of the type', '"double"', ['int', 'string'], ['TYPE_MISMATCH']],
  [
    'a record that holds itself',
    record(field('next', ['null', 'R']), field('a', 'long')),
    record(field('next', ['null', 'R']), field('a', 'int')),
    [],
  ],
  [
    'a record that holds itself, and is not read',
    record(field('next', ['null', 'R']), field('a', 'int')),
    record(field('next', ['null', 'R']), field('a', 'string')),
    ['TYPE_MISMATCH'],
  ],
]

const open = (properties: object, more: object = {}): object => ({ type: 'object', properties, ...more })
const closed = (properties: object, more: object = {}): object => open(properties, { additionalProperties: false, ...more })
const [text, number, integer] = [{ type: 'string' }, { type: 'number' }, { type: 'integer' }]

const json: readonly Row[] = [
  ['the same', open({ a: text }), open({ a: text }), []],
  ['a title more', { ...text, title: 't', description: 'd' }, text, []],
  ['a whole number is a number', number, integer, []],
  ['a number need not be whole', integer, number, ['TYPE_NARROWED']],
  ['text is no number', number, text, ['TYPE_CHANGED']],
  ['anything', {}, text, []],
  ['not anything', text, {}, ['TYPE_CHANGED']],
  ['one type more', { type: ['string', 'null'] }, text, []],
  ['one type less', text, { type: ['string', 'null'] }, ['TYPE_CHANGED']],
  ['a longer maximum', { ...text, maxLength: 5 }, { ...text, maxLength: 4 }, []],
  ['a shorter maximum', { ...text, maxLength: 4 }, { ...text, maxLength: 5 }, ['MAX_LENGTH_DECREASED']],
  ['a minimum more', { ...number, minimum: 1 }, number, ['MINIMUM_ADDED']],
  ['a pattern more', { ...text, pattern: 'a' }, text, ['PATTERN_CHANGED']],
  ['a pattern less', text, { ...text, pattern: 'a' }, []],
  ['multiples of less', { ...number, multipleOf: 2 }, { ...number, multipleOf: 4 }, []],
  ['multiples of more', { ...number, multipleOf: 4 }, { ...number, multipleOf: 2 }, ['MULTIPLE_OF_CHANGED']],
  ['values more', { enum: ['a', 'b'] }, { enum: ['a'] }, []],
  ['values less', { enum: ['a'] }, { enum: ['a', 'b'] }, ['ENUM_ARRAY_NARROWED']],
  [
    'a property added where others were allowed',
    open({ a: text, b: text }),
    open({ a: text }),
    ['PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL'],
  ],
  ['a property added where no others were', closed({ a: text, b: text }), closed({ a: text }), []],
  [
    'a required property added where no others were',
    closed({ a: text, b: text }, { required: ['b'] }),
    closed({ a: text }),
    ['REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL'],
  ],
  [
    'a required property with a default added where no others were',
    closed({ a: text, b: { ...text, default: '' } }, { required: ['b'] }),
    closed({ a: text }),
    [],
  ],
  ['a property removed where others are allowed', open({}), open({ a: text }), []],
  ['a property removed where no others are', closed({}), closed({ a: text }), ['PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL']],
  ['others allowed', open({}), closed({}), []],
  ['others forbidden', closed({}), open({}), ['ADDITIONAL_PROPERTIES_REMOVED']],
  ['required that was not', open({ a: text }, { required: ['a'] }), open({ a: text }), ['REQUIRED_ATTRIBUTE_ADDED']],
  ['not required that was', open({ a: text }), open({ a: text }, { required: ['a'] }), []],
  ['an alternative more', { oneOf: [text, number] }, { oneOf: [text] }, []],
  ['an alternative less', { oneOf: [text] }, { oneOf: [text, number] }, ['SUM_TYPE_NARROWED']],
  ['items of another type', { type: 'array', items: number }, { type: 'array', items: text }, ['TYPE_CHANGED']],
  [
    'by reference',
    { ...open({ a: { $ref: '#/definitions/a' } }), definitions: { a: number } },
    { ...open({ a: { $ref: '#/definitions/a' } }), definitions: { a: text } },
    ['TYPE_CHANGED'],
  ],
  ['a tree that holds itself', open({ next: { $ref: '#' }, a: number }), open({ next: { $ref: '#' }, a: integer }), []],
]

const proto = (body: string, more = ''): string => `syntax = "proto3"; ${more} message M { ${body} }`

const protobuf: readonly Row[] = [
  ['the same', proto('int32 a = 1;'), proto('int32 a = 1;'), []],
  ['a field added', proto('int32 a = 1; string b = 2;'), proto('int32 a = 1;'), []],
  ['a field removed', proto('int32 a = 1;'), proto('int32 a = 1; string b = 2;'), []],
  ['a field renamed', proto('int32 b = 1;'), proto('int32 a = 1;'), []],
  ['numbers of one kind', proto('int64 a = 1;'), proto('int32 a = 1;'), []],
  ['an enum is a number', proto('int32 a = 1;'), proto('E a = 1;', 'enum E { X = 0; }'), []],
  ['numbers of other kinds', proto('sint32 a = 1;'), proto('int32 a = 1;'), ['FIELD_SCALAR_KIND_CHANGED']],
  ['text is bytes', proto('bytes a = 1;'), proto('string a = 1;'), []],
  ['text is no number', proto('int32 a = 1;'), proto('string a = 1;'), ['FIELD_SCALAR_KIND_CHANGED']],
  ['a scalar is no message', proto('M a = 1;'), proto('string a = 1;'), ['FIELD_KIND_CHANGED']],
  ['numbers repeated', proto('repeated int32 a = 1;'), proto('int32 a = 1;'), ['FIELD_NUMERIC_LABEL_CHANGED']],
  ['text repeated', proto('repeated string a = 1;'), proto('string a = 1;'), []],
  ['a value of a map', proto('map<string, int32> a = 1;'), proto('map<string, string> a = 1;'), ['FIELD_SCALAR_KIND_CHANGED']],
  ['a message removed', proto(''), proto('', 'message N { }'), ['MESSAGE_REMOVED']],
  ['a nested message removed', proto(''), proto('message N { }'), ['MESSAGE_REMOVED']],
  ['another package', proto('', 'package a;'), proto('', 'package b;'), ['PACKAGE_CHANGED']],
  ['one field into a new oneof', proto('oneof o { int32 a = 1; }'), proto('int32 a = 1;'), []],
  [
    'two fields into a oneof',
    proto('oneof o { int32 a = 1; int32 b = 2; }'),
    proto('int32 a = 1; int32 b = 2;'),
    ['MULTIPLE_FIELDS_MOVED_TO_ONEOF'],
  ],
  [
    'a field into a oneof that there was',
    proto('oneof o { int32 a = 1; int32 b = 2; }'),
    proto('oneof o { int32 a = 1; } int32 b = 2;'),
    ['FIELD_MOVED_TO_EXISTING_ONEOF'],
  ],
  [
    'a field of a oneof removed',
    proto('oneof o { int32 a = 1; }'),
    proto('oneof o { int32 a = 1; int32 b = 2; }'),
    ['ONEOF_FIELD_REMOVED'],
  ],
  ['required added', 'message M { required int32 a = 1; }', 'message M { }', ['REQUIRED_FIELD_ADDED']],
  ['required removed', 'message M { }', 'message M { required int32 a = 1; }', ['REQUIRED_FIELD_REMOVED']],
]

function verdicts(language: SchemaLanguage, rows: readonly Row[]): void {
  for (const [name, reader, writer, types] of rows) {
    test(`${language}: ${name}`, () => {
      const parsed = [reader, writer].map((each) => parseSchema(language, typeof each === 'string' ? each : JSON.stringify(each)))
      const [readers, writers] = parsed
      assert.ok(readers !== undefined && writers !== undefined)
      assert.deepEqual(
        readers.unreadable(writers).map(({ type }) => type),
        types,
      )
    })
  }
}

verdicts('AVRO', avro)
verdicts('JSON', json)
verdicts('PROTOBUF', protobuf)

test('languages cannot read each other', () => {
  const [one, other] = [parseSchema('AVRO', '"string"'), parseSchema('JSON', '{"type":"string"}')]
  assert.equal(one.unreadable(other).length, 1)
  assert.equal(other.unreadable(one).length, 1)
})
