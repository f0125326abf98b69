/** The address of a person does not go into records: `robin@example.com` becomes `…@example.com`. */
export function withoutAddresses(text: string): string {
  return text.replaceAll(/[^\s@<>"']+@(?=[^\s@]+\.[^\s@])/g, '…@');
}
