/** Made by `build/build.ts`: what only the build knows. */
declare module 'virtual:built' {
  export const version: string
  export const commit: string
  /** The names of the stock modules. */
  export const modules: string[]
  /** The packages that the binary carries for modules. */
  export const libraries: string[]
}
