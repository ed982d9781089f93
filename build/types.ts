export async function bundleTypes(): Promise<string> { return '' } // placeholder
