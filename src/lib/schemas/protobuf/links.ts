/** Names in .proto files: what each means where it stands (Protocol Buffers language guide, "Packages and Name Resolution"). */
import { InvalidSchema } from '../schema.ts'
import type { ProtoEnum, ProtoFile, ProtoMessage } from './file.ts'

/** A message or enum that can be referred to. */
export interface Definition {
  /** With its package, without a leading dot. */
  readonly name: string
  /** Without its package. */
  readonly local: string
  readonly message: ProtoMessage | null
  readonly file: ProtoFile
}

export class Definitions {
  readonly #byName = new Map<string, Definition>()

  add(file: ProtoFile): void {
    for (const each of file.messages) this.#addMessage(file, each, '')
    for (const each of file.enums) this.#addEnum(file, each, '')
  }

  #addMessage(file: ProtoFile, message: ProtoMessage, within: string): void {
    const local = join(within, message.name)
    this.#define({ name: join(file.package, local), local, message, file })
    for (const each of message.messages) this.#addMessage(file, each, local)
    for (const each of message.enums) this.#addEnum(file, each, local)
  }

  #addEnum(file: ProtoFile, each: ProtoEnum, within: string): void {
    const local = join(within, each.name)
    this.#define({ name: join(file.package, local), local, message: null, file })
  }

  #define(definition: Definition): void {
    if (this.#byName.has(definition.name)) throw new InvalidSchema(`${definition.name} is defined twice`)
    this.#byName.set(definition.name, definition)
  }

  /** `scope`: the full name of the message that the name is used in, or the package. The innermost definition counts. */
  resolve(name: string, scope: string): Definition {
    const found = name.startsWith('.') ? this.#byName.get(name.slice(1)) : this.#within(name, scope)
    if (found === undefined) throw new InvalidSchema(`the type ${name} is not defined`)
    return found
  }

  #within(name: string, scope: string): Definition | undefined {
    for (let outer = scope; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('.')))) {
      const found = this.#byName.get(join(outer, name))
      if (found !== undefined || outer === '') return found
    }
  }
}

export const join = (outer: string, name: string): string => (outer === '' ? name : `${outer}.${name}`)
