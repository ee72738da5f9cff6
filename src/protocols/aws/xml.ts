/** Answers of the Query protocol. */

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\r': '&#13;' }
const escaped = (text: string): string => text.replace(/[&<>"\r]/g, (character) => escapes[character] ?? character)

/** How lists and maps are written, by their name in the JSON protocol. */
export interface XmlStyle {
  readonly namespace: string
  /** A list's or map's element. `flat`: each member is an element of that name; else one element holds `member`s, or `entry`s of a map. */
  readonly flat: boolean
  readonly names: Readonly<Record<string, string>>
  /** What a map's pairs are called. */
  pair(name: string): readonly [key: string, value: string]
}

export const sqsStyle: XmlStyle = {
  namespace: 'http://queue.amazonaws.com/doc/2012-11-05/',
  flat: true,
  names: {
    QueueUrls: 'QueueUrl',
    queueUrls: 'QueueUrl',
    Attributes: 'Attribute',
    MessageAttributes: 'MessageAttribute',
    Tags: 'Tag',
    Messages: 'Message',
    Failed: 'BatchResultErrorEntry',
    Results: 'Result',
  },
  pair: (name) => (name === 'Tags' ? ['Key', 'Value'] : ['Name', 'Value']),
}

export const snsStyle: XmlStyle = {
  namespace: 'http://sns.amazonaws.com/doc/2010-03-31/',
  flat: false,
  names: {},
  pair: () => ['key', 'value'],
}

export function answerXml(style: XmlStyle, action: string, result: object | null, requestId: string): string {
  const named = style.flat ? { ...style, names: { ...style.names, Successful: `${action}ResultEntry` } } : style
  const content = result === null ? '' : `<${action}Result>${members(named, result)}</${action}Result>`
  const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`
  return `<?xml version="1.0"?>\n<${action}Response xmlns="${style.namespace}">${content}${metadata}</${action}Response>`
}

export function errorXml(
  style: XmlStyle,
  error: { readonly code: string; readonly message: string; readonly senderFault: boolean },
  requestId: string,
): string {
  const type = error.senderFault ? 'Sender' : 'Receiver'
  const content = `<Type>${type}</Type><Code>${error.code}</Code><Message>${escaped(error.message)}</Message><Detail/>`
  return `<?xml version="1.0"?>\n<ErrorResponse xmlns="${style.namespace}"><Error>${content}</Error><RequestId>${requestId}</RequestId></ErrorResponse>`
}

function members(style: XmlStyle, structure: object): string {
  let xml = ''
  for (const [name, value] of Object.entries(structure)) xml += member(style, name, value)
  return xml
}

function member(style: XmlStyle, name: string, value: unknown): string {
  if (value === undefined || value === null) return ''
  if (value instanceof Map) return map(style, name, value as Map<string, unknown>)
  if (Array.isArray(value)) {
    const element = style.flat ? (style.names[name] ?? name) : 'member'
    const content = value.map((each) => `<${element}>${contentOf(style, each)}</${element}>`).join('')
    return style.flat ? content : `<${name}>${content}</${name}>`
  }
  return `<${name}>${contentOf(style, value)}</${name}>`
}

function map(style: XmlStyle, name: string, pairs: ReadonlyMap<string, unknown>): string {
  const [key, value] = style.pair(name)
  const element = style.flat ? (style.names[name] ?? name) : 'entry'
  const content = [...pairs]
    .map(
      ([each, held]) =>
        `<${element}><${key}>${escaped(each)}</${key}><${value}>${contentOf(style, held)}</${value}></${element}>`,
    )
    .join('')
  return style.flat ? content : `<${name}>${content}</${name}>`
}

const contentOf = (style: XmlStyle, value: unknown): string =>
  typeof value === 'object' && value !== null ? members(style, value) : escaped(String(value))
