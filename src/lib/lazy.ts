/** Modules that are loaded when they are first needed. */

/** A function that needs a module: its result comes at once when the module is there, else as a promise. */
export function lazily<Module, Arguments extends readonly unknown[], Result>(
  load: () => Promise<Module>,
  call: (module: Module, ...given: Arguments) => Result,
): (...given: Arguments) => Result | Promise<Result> {
  let module: Module | undefined
  return (...given) => {
    if (module !== undefined) return call(module, ...given)
    return load().then((loaded) => {
      module = loaded
      return call(loaded, ...given)
    })
  }
}

interface Answering<Request, Answer> {
  answer(request: Request): Answer | Promise<Answer>
  drain?(): void
}

/** What answers requests, made when the first of them comes. */
export function answeringLazily<Request, Answer>(
  make: () => Promise<Answering<Request, Answer>>,
): Required<Answering<Request, Answer>> {
  let made: Promise<Answering<Request, Answer>> | null = null
  return {
    answer: async (request) => {
      made ??= make()
      return await (await made).answer(request)
    },
    drain: () => void made?.then((each) => each.drain?.()),
  }
}
