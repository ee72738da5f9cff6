/** A .proto file as a tree: what its text says, in the order of the text. Syntax proto2 and proto3. */

/** A value as it is written: `true`, `"text"`, `{a: 1}`. */
export interface Option {
  /** As written, with its parentheses. */
  readonly name: string
  readonly value: string
}

export interface ProtoField {
  readonly name: string
  readonly number: number
  readonly label: 'optional' | 'required' | 'repeated' | null
  /** As written: a scalar, or a name. */
  readonly type: string
  /** Of `map<key, type>`. */
  readonly mapKey: string | null
  readonly oneof: string | null
  readonly options: readonly Option[]
}

export interface ProtoMessage {
  readonly name: string
  readonly fields: ProtoField[]
  readonly oneofs: { readonly name: string; readonly options: Option[] }[]
  readonly messages: ProtoMessage[]
  readonly enums: ProtoEnum[]
  readonly extends: ProtoExtend[]
  readonly options: Option[]
  /** As written, without the word and the semicolon. */
  readonly reserved: string[]
  readonly extensions: string[]
}

export interface ProtoEnum {
  readonly name: string
  readonly values: { readonly name: string; readonly number: number; readonly options: readonly Option[] }[]
  readonly options: Option[]
  readonly reserved: string[]
}

export interface ProtoExtend {
  readonly type: string
  readonly fields: ProtoField[]
}

export interface ProtoService {
  readonly name: string
  readonly options: Option[]
  readonly methods: {
    readonly name: string
    readonly input: string
    readonly clientStreams: boolean
    readonly output: string
    readonly serverStreams: boolean
    readonly options: Option[]
  }[]
}

export interface ProtoFile {
  syntax: 'proto2' | 'proto3'
  package: string
  readonly imports: { readonly path: string; readonly kind: 'public' | 'weak' | null }[]
  readonly options: Option[]
  readonly messages: ProtoMessage[]
  readonly enums: ProtoEnum[]
  readonly extends: ProtoExtend[]
  readonly services: ProtoService[]
}

export const scalars = [
  'double',
  'float',
  'int64',
  'uint64',
  'int32',
  'fixed64',
  'fixed32',
  'bool',
  'string',
  'bytes',
  'uint32',
  'sfixed32',
  'sfixed64',
  'sint32',
  'sint64',
] as const
export type Scalar = (typeof scalars)[number]
export const isScalar = (type: string): type is Scalar => scalars.some((each) => each === type)
