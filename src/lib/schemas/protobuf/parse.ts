/** Text of a .proto file → tree. proto2 and proto3; groups and editions are refused. */
import { depthMax, InvalidSchema } from '../schema.ts'
import type { Option, ProtoEnum, ProtoExtend, ProtoField, ProtoFile, ProtoMessage, ProtoService } from './file.ts'
import { Tokens } from './tokens.ts'

export function parseProto(text: string): ProtoFile {
  return new Parser(text).file()
}

class Parser {
  readonly #tokens: Tokens

  constructor(text: string) {
    this.#tokens = new Tokens(text)
  }

  file(): ProtoFile {
    const tokens = this.#tokens
    const file: ProtoFile = {
      syntax: 'proto2',
      package: '',
      imports: [],
      options: [],
      messages: [],
      enums: [],
      extends: [],
      services: [],
    }
    if (tokens.take('syntax')) {
      tokens.expect('=')
      const syntax = tokens.text()
      if (syntax !== 'proto2' && syntax !== 'proto3') throw new InvalidSchema(`the syntax ${syntax} is not known`)
      file.syntax = syntax
      tokens.expect(';')
    }
    while (!tokens.done) {
      const word = tokens.next()
      switch (word) {
        case ';':
          break
        case 'package':
          file.package = tokens.fullName()
          tokens.expect(';')
          break
        case 'import': {
          const kind = tokens.take('public') ? 'public' : tokens.take('weak') ? 'weak' : null
          file.imports.push({ path: tokens.text(), kind })
          tokens.expect(';')
          break
        }
        case 'option':
          file.options.push(this.#optionStatement())
          break
        case 'message':
          file.messages.push(this.#message(0))
          break
        case 'enum':
          file.enums.push(this.#enum())
          break
        case 'extend':
          file.extends.push(this.#extend())
          break
        case 'service':
          file.services.push(this.#service())
          break
        default:
          throw new InvalidSchema(`unexpected ${word}`)
      }
    }
    return file
  }

  #message(depth: number): ProtoMessage {
    if (depth > depthMax) throw new InvalidSchema(`it is nested more than ${depthMax} deep`)
    const tokens = this.#tokens
    const name = tokens.name()
    const message: ProtoMessage = {
      name,
      fields: [],
      oneofs: [],
      messages: [],
      enums: [],
      extends: [],
      options: [],
      reserved: [],
      extensions: [],
    }
    tokens.expect('{')
    while (!tokens.take('}')) {
      // A field's type may have the name of a statement: `message` is told by what follows.
      const [word, after] = [tokens.peek(), tokens.peek(2)]
      if (tokens.take(';')) continue
      if (word === 'message' && after === '{') {
        tokens.next()
        message.messages.push(this.#message(depth + 1))
      } else if (word === 'enum' && after === '{') {
        tokens.next()
        message.enums.push(this.#enum())
      } else if (word === 'oneof' && after === '{') {
        tokens.next()
        this.#oneof(message)
      } else if (word === 'extend' && after === '{') {
        tokens.next()
        message.extends.push(this.#extend())
      } else if (word === 'option' && tokens.peek(1) !== '=') {
        tokens.next()
        message.options.push(this.#optionStatement())
      } else if (word === 'reserved' || word === 'extensions') {
        tokens.next()
        message[word].push(this.#until(';'))
        tokens.expect(';')
      } else message.fields.push(this.#field(null))
    }
    unique(
      name,
      message.fields.map((field) => field.name),
    )
    unique(
      name,
      message.fields.map(({ number }) => number),
    )
    return message
  }

  #oneof(message: ProtoMessage): void {
    const tokens = this.#tokens
    const name = tokens.name()
    const options: Option[] = []
    message.oneofs.push({ name, options })
    tokens.expect('{')
    while (!tokens.take('}')) {
      if (tokens.take(';')) continue
      if (tokens.peek() === 'option' && tokens.peek(2) !== '=') {
        tokens.next()
        options.push(this.#optionStatement())
      } else message.fields.push(this.#field(name))
    }
  }

  #field(oneof: string | null): ProtoField {
    const tokens = this.#tokens
    const label = tokens.take('optional')
      ? 'optional'
      : tokens.take('required')
        ? 'required'
        : tokens.take('repeated')
          ? 'repeated'
          : null
    if (oneof !== null && label !== null) throw new InvalidSchema(`a field of the oneof ${oneof} has no label`)
    let mapKey: string | null = null
    let type: string
    if (tokens.peek() === 'map' && tokens.peek(1) === '<') {
      if (label !== null || oneof !== null) throw new InvalidSchema('a map has no label and stands in no oneof')
      tokens.next()
      tokens.next()
      mapKey = tokens.name()
      tokens.expect(',')
      type = tokens.fullName()
      tokens.expect('>')
    } else type = tokens.fullName()
    if (type === 'group') throw new InvalidSchema('groups are not supported')
    const name = tokens.name()
    tokens.expect('=')
    const number = tokens.integer()
    if (number < 1 || number > 536_870_911 || (number >= 19_000 && number <= 19_999))
      throw new InvalidSchema(`${number} is no number for the field ${name}`)
    const options = this.#bracketOptions()
    tokens.expect(';')
    return { name, number, label, type, mapKey, oneof, options }
  }

  #enum(): ProtoEnum {
    const tokens = this.#tokens
    const found: ProtoEnum = { name: tokens.name(), values: [], options: [], reserved: [] }
    tokens.expect('{')
    while (!tokens.take('}')) {
      if (tokens.take(';')) continue
      if (tokens.peek() === 'option' && tokens.peek(1) !== '=') {
        tokens.next()
        found.options.push(this.#optionStatement())
      } else if (tokens.peek() === 'reserved' && tokens.peek(1) !== '=') {
        tokens.next()
        found.reserved.push(this.#until(';'))
        tokens.expect(';')
      } else {
        const name = tokens.name()
        tokens.expect('=')
        found.values.push({ name, number: tokens.integer(), options: this.#bracketOptions() })
        tokens.expect(';')
      }
    }
    if (found.values.length === 0) throw new InvalidSchema(`the enum ${found.name} has no values`)
    unique(
      found.name,
      found.values.map(({ name }) => name),
    )
    return found
  }

  #extend(): ProtoExtend {
    const tokens = this.#tokens
    const found: ProtoExtend = { type: tokens.fullName(), fields: [] }
    tokens.expect('{')
    while (!tokens.take('}')) if (!tokens.take(';')) found.fields.push(this.#field(null))
    return found
  }

  #service(): ProtoService {
    const tokens = this.#tokens
    const found: ProtoService = { name: tokens.name(), options: [], methods: [] }
    tokens.expect('{')
    while (!tokens.take('}')) {
      const word = tokens.next()
      if (word === 'option') found.options.push(this.#optionStatement())
      else if (word === 'rpc') {
        const name = tokens.name()
        const [clientStreams, input] = this.#methodType()
        tokens.expect('returns')
        const [serverStreams, output] = this.#methodType()
        const options: Option[] = []
        if (tokens.take('{')) {
          while (!tokens.take('}')) {
            if (tokens.take(';')) continue
            tokens.expect('option')
            options.push(this.#optionStatement())
          }
        } else tokens.expect(';')
        found.methods.push({ name, input, clientStreams, output, serverStreams, options })
      } else if (word !== ';') throw new InvalidSchema(`unexpected ${word}`)
    }
    return found
  }

  #methodType(): [boolean, string] {
    const tokens = this.#tokens
    tokens.expect('(')
    const streams = tokens.peek(1) !== ')' && tokens.take('stream')
    const type = tokens.fullName()
    tokens.expect(')')
    return [streams, type]
  }

  #optionStatement(): Option {
    const name = this.#optionName()
    this.#tokens.expect('=')
    const value = this.#until(';')
    this.#tokens.expect(';')
    return { name, value }
  }

  #bracketOptions(): Option[] {
    const options: Option[] = []
    const tokens = this.#tokens
    if (!tokens.take('[')) return options
    do {
      const name = this.#optionName()
      tokens.expect('=')
      options.push({ name, value: this.#until(',', ']') })
    } while (tokens.take(','))
    tokens.expect(']')
    return options
  }

  #optionName(): string {
    const tokens = this.#tokens
    let name = ''
    while (tokens.peek() !== '=') name += tokens.next()
    if (name === '') throw new InvalidSchema('an option without a name')
    return name
  }

  /** The words up to one of these outside of brackets, joined. */
  #until(...ends: readonly string[]): string {
    const tokens = this.#tokens
    const words: string[] = []
    for (let depth = 0; depth > 0 || !ends.includes(tokens.peek()); ) {
      const word = tokens.next()
      if (word === '{' || word === '[') depth++
      if (word === '}' || word === ']') depth--
      words.push(word)
    }
    return words.join(' ').replaceAll(' ,', ',').replaceAll('- ', '-')
  }
}

function unique(of: string, list: readonly (string | number)[]): void {
  const seen = new Set<string | number>()
  for (const each of list) {
    if (seen.has(each)) throw new InvalidSchema(`${of} has ${each} twice`)
    seen.add(each)
  }
}
