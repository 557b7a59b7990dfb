/** Tells the service manager how the daemon is doing (sd_notify(3)); without one, nothing happens. */
export interface Notify {
  ready(status: string): void;
  status(text: string): void;
  stopping(): void;
}
