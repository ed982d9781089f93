/** Made by `build/build.ts`: what only the build knows. */
declare module 'virtual:stock' {
  export const version: string
  export const commit: string
  export const stock: Record<string, import('./carried.ts').StockModule>
}
