/** A format for tests of core and broker: a payload is a value and nothing else. Importing this registers it. */
import { type Attributes, type Format, formats } from '../../src/core/record.ts'

export const plainFormat: Format = {
  id: 1,
  name: 'plain',
  batched: false,
  toAttributes: (value): Attributes => ({ key: null, value, headers: [] }),
  fromAttributes: ({ value }) => value ?? Buffer.alloc(0),
}
formats.register(plainFormat)
