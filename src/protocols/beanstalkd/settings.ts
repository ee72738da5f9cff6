/** What the configuration file says under `beanstalkd`. */
import { type Broker, CoreError } from '../../broker/face.ts'
import { headBytes } from './mapping.ts'

/** As the reference server has it without `-z`. */
const jobBytesDefault = 65_535

/** `jobBytesMax`, of the largest job. Throws Invalid with what is wrong. */
export function jobBytesMaxOf(broker: Broker): number {
  const { jobBytesMax = jobBytesDefault, ...others } = broker.settingsOf('beanstalkd') ?? {}
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new CoreError('Invalid', `beanstalkd: unknown key ${unknown}; there is jobBytesMax`, unknown)
  const largest = broker.limits.recordBytesMax - headBytes
  if (typeof jobBytesMax !== 'number' || !Number.isInteger(jobBytesMax) || jobBytesMax < 1)
    throw new CoreError('Invalid', 'beanstalkd: jobBytesMax must be a whole number of bytes', 'jobBytesMax')
  if (jobBytesMax > largest && jobBytesMax !== jobBytesDefault)
    throw new CoreError(
      'Invalid',
      `beanstalkd: jobBytesMax is at most ${largest}, so that a job is no larger than recordBytesMax`,
      'jobBytesMax',
    )
  return jobBytesMax
}
