/** Tree → text of a .proto file, in one form. */
import type { Option, ProtoEnum, ProtoExtend, ProtoField, ProtoFile, ProtoMessage, ProtoService } from './file.ts'

/** `sorted`: imports and options in the order of their names, as they mean the same in any. */
export function printProto(file: ProtoFile, sorted: boolean): string {
  return new Printer(sorted).file(file)
}

class Printer {
  readonly #sorted: boolean

  constructor(sorted: boolean) {
    this.#sorted = sorted
  }

  file(file: ProtoFile): string {
    const imports = file.imports.map(({ path, kind }) => `import ${kind === null ? '' : `${kind} `}"${path}";`)
    if (this.#sorted) imports.sort()
    const parts = [
      [`syntax = "${file.syntax}";`, ...(file.package === '' ? [] : [`package ${file.package};`])],
      imports,
      this.#ordered(file.options).map(statement),
      ...file.messages.map((each) => this.#message(each)),
      ...file.enums.map((each) => this.#enum(each)),
      ...file.extends.map((each) => this.#extend(each)),
      ...file.services.map((each) => this.#service(each)),
    ]
    return `${parts
      .filter((lines) => lines.length > 0)
      .map((lines) => lines.join('\n'))
      .join('\n\n')}\n`
  }

  #ordered(options: readonly Option[]): readonly Option[] {
    return this.#sorted ? options.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)) : options
  }

  #message(message: ProtoMessage): string[] {
    const fields = (of: string | null): string[] =>
      message.fields.filter(({ oneof }) => oneof === of).map((each) => this.#field(each))
    return block(`message ${message.name}`, [
      ...this.#ordered(message.options).map(statement),
      ...message.reserved.map((each) => `reserved ${each};`),
      ...message.extensions.map((each) => `extensions ${each};`),
      ...fields(null),
      ...message.oneofs.flatMap(({ name, options }) =>
        block(`oneof ${name}`, [...this.#ordered(options).map(statement), ...fields(name)]),
      ),
      ...message.messages.flatMap((each) => this.#message(each)),
      ...message.enums.flatMap((each) => this.#enum(each)),
      ...message.extends.flatMap((each) => this.#extend(each)),
    ])
  }

  #field({ name, number, label, type, mapKey, options }: ProtoField): string {
    const what = mapKey === null ? `${label === null ? '' : `${label} `}${type}` : `map<${mapKey}, ${type}>`
    return `${what} ${name} = ${number}${this.#brackets(options)};`
  }

  #brackets(options: readonly Option[]): string {
    if (options.length === 0) return ''
    const written = this.#ordered(options).map(({ name, value }) => `${name} = ${value}`)
    return ` [${written.join(', ')}]`
  }

  #enum({ name, values, options, reserved }: ProtoEnum): string[] {
    return block(`enum ${name}`, [
      ...this.#ordered(options).map(statement),
      ...reserved.map((each) => `reserved ${each};`),
      ...values.map((value) => `${value.name} = ${value.number}${this.#brackets(value.options)};`),
    ])
  }

  #extend({ type, fields }: ProtoExtend): string[] {
    return block(
      `extend ${type}`,
      fields.map((each) => this.#field(each)),
    )
  }

  #service({ name, options, methods }: ProtoService): string[] {
    return block(`service ${name}`, [
      ...this.#ordered(options).map(statement),
      ...methods.flatMap((method) => {
        const stream = (streams: boolean): string => (streams ? 'stream ' : '')
        const [input, output] = [stream(method.clientStreams) + method.input, stream(method.serverStreams) + method.output]
        const head = `rpc ${method.name} (${input}) returns (${output})`
        return method.options.length === 0 ? [`${head};`] : block(head, this.#ordered(method.options).map(statement))
      }),
    ])
  }
}

const statement = ({ name, value }: Option): string => `option ${name} = ${value};`

const block = (head: string, lines: readonly string[]): string[] => [`${head} {`, ...lines.map((line) => `  ${line}`), '}']
