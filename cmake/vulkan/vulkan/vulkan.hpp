/* Vulkan's C++ header, and what ggml's Vulkan backend names of the extension VK_EXT_layer_settings where the header does
 * not have it yet (Debian 12's, 1.3.239, does not). ggml fills the structures in always, and has them read only where it
 * was built to validate its calls. */
#include_next <vulkan/vulkan.hpp>

#if !defined(VK_EXT_layer_settings)
#define VK_EXT_layer_settings 1
namespace vk {

enum class LayerSettingTypeEXT { eBool32 = 0 };

struct LayerSettingEXT {
    const char *pLayerName, *pSettingName;
    LayerSettingTypeEXT type;
    uint32_t valueCount;
    const void *pValues;
};

struct LayerSettingsCreateInfoEXT {
    const VkStructureType sType = (VkStructureType)1000496000;
    const void *pNext = nullptr;
    uint32_t settingCount;
    const LayerSettingEXT *pSettings;

    LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &settings)
        : settingCount((uint32_t)settings.size()), pSettings(settings.data()) {}
};

} // namespace vk
#endif
