// The features in ApiVersions, and UpdateFeatures, which changes their levels (KIP-584, KIP-778).
import { codeOf, KafkaError, textOf } from '../errors.ts'
import { type FeatureLevel, Features } from '../features.ts'
import { mayCluster } from '../operations.ts'
import type { Request } from '../request.ts'
import type { Message } from '../schema.ts'

const UpgradeType = { Upgrade: 1, SafeDowngrade: 2, UnsafeDowngrade: 3 } as const

/** The fields of ApiVersions that tell of features. */
export function describeFeatures({ session, version }: Request): Message {
  const features = Features.of(session.broker)
  const all = features.all()
  return {
    finalizedFeaturesEpoch: features.epoch,
    finalizedFeatures: all
      .filter(({ level }) => level > 0)
      .map(({ name, level }) => ({ name, maxVersionLevel: level, minVersionLevel: level })),
    // Before version 4 a lowest level of 0 is not understood (KAFKA-17011).
    supportedFeatures: all
      .filter(({ min }) => version >= 4 || min > 0)
      .map(({ name, min, max }) => ({ name, minVersion: min, maxVersion: max })),
  }
}

/** All of the updates, or none. */
export async function updateFeatures(request: Request): Promise<void> {
  const { session, version } = request
  const body = request.body()
  const updates: Message[] = body['featureUpdates']
  const refuse = (errorCode: number, errorMessage: string): void => request.respond({ errorCode, errorMessage, results: [] })
  if (!mayCluster(session, 'alter'))
    return refuse(KafkaError.ClusterAuthorizationFailed, 'features are changed by who may manage the cluster')
  const features = Features.of(session.broker)
  for (const update of updates) {
    const reason = refusalOf(features.get(update['feature']), update, version)
    if (reason !== null) return refuse(KafkaError.InvalidUpdateVersion, `The update failed for ${update['feature']}: ${reason}`)
  }
  try {
    const changed = updates.filter(({ feature, maxVersionLevel }) => features.get(feature)?.level !== maxVersionLevel)
    if (!body['validateOnly'])
      await features.set(new Map(changed.map((update) => [update['feature'], update['maxVersionLevel']])))
    request.respond({ errorMessage: null, results: updates.map(({ feature }) => ({ feature, errorMessage: 'NONE' })) })
  } catch (cause) {
    refuse(codeOf(cause), textOf(cause))
  }
}

function refusalOf(feature: FeatureLevel | undefined, update: Message, version: number): string | null {
  const level: number = update['maxVersionLevel']
  if (feature === undefined) return 'it is not known here'
  if (level < feature.min || level > feature.max) return `level ${level} is not between ${feature.min} and ${feature.max}`
  const isDowngrade = level < feature.level
  const allowed = version === 0 ? update['allowDowngrade'] : update['upgradeType'] !== UpgradeType.Upgrade
  if (isDowngrade && !allowed) return `level ${level} is below ${feature.level}, and a downgrade was not asked for`
  if (level > feature.level && allowed) return `level ${level} is not below ${feature.level}`
  return null
}
