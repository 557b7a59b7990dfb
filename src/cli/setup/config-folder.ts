/** Where names of tunnels are looked up, and where the service looks for its configs. */
export const CONFIG_FOLDER = '/etc/ipipou';
