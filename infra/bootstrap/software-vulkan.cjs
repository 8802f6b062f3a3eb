const { existsSync } = require('node:fs');
const { join } = require('node:path');

/** Debian's Chromium brings a Vulkan loader and a driver that computes on the CPU. */
const CHROMIUM = '/usr/lib/chromium';

/**
 * Lets the processes that this one starts find the software GPU, unless the user names a driver, or the tests are
 * those of a GPU: WebGPU can then be tested on any machine.
 */
module.exports = function useSoftwareVulkan(environment) {
  const driver = join(CHROMIUM, 'vk_swiftshader_icd.json');
  if (
    environment.FORGE_TEST_GPU ||
    environment.VK_ICD_FILENAMES ||
    environment.VK_DRIVER_FILES ||
    !existsSync(driver)
  )
    return;
  environment.VK_ICD_FILENAMES = driver;
  const paths = [environment.LD_LIBRARY_PATH, CHROMIUM].filter(Boolean);
  environment.LD_LIBRARY_PATH = paths.join(':');
};
