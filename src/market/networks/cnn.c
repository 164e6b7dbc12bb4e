/* Architectures as tables. Shapes: torchvision's alexnet, vgg, resnet and mobilenetv2; the bottleneck's
 * shape, with the stride on its 3x3 convolution, is recalled. Accuracies: aeria.md, section 6. */
#include "market/networks/networks_internal.h"

#define CONV(name, out, kernel, stride, pad)                                                                 \
  { name, EF_UNIT_CONV, out, kernel, stride, pad, 0, 0, 0 }
#define POOL(name, kernel, stride, pad)                                                                      \
  { name, EF_UNIT_POOL, 0, kernel, stride, pad, 0, 0, 0 }
#define FC(name, out)                                                                                        \
  { name, EF_UNIT_FC, out, 0, 1, 0, 0, 0, 0 }
/* n convolutions of 3x3 that keep the size: name1, name2, ... */
#define CONVS(name, out, n)                                                                                  \
  { name, EF_UNIT_CONV, out, 3, 1, 1, 0, 1, n }
#define BASIC(name, out, stride, n)                                                                          \
  { name, EF_UNIT_BASIC, out, 0, stride, 0, 0, 1, n }
#define BOTTLENECK(name, width, stride, n)                                                                   \
  { name, EF_UNIT_BOTTLENECK, width, 0, stride, 0, 0, 1, n }
#define INVERTED(expand, out, stride, first, n)                                                              \
  { "ir", EF_UNIT_INVERTED, out, 0, stride, 0, expand, first, n }
#define CLASSIFIER                                                                                           \
  { "pool+fc", EF_UNIT_CLASSIFIER, 1000, 0, 1, 0, 0, 0, 0 }
#define END                                                                                                  \
  { NULL, EF_UNIT_CONV, 0, 0, 0, 0, 0, 0, 0 }

#define COMPUTED(from)                                                                                       \
  "computed from the architecture of torchvision's " from " for 224x224x3 input and 1,000 classes"
#define PROFILE "reconstruction: the final accuracy times the relative profile of ResNet-50 on CIFAR-100"
#define PROFILE_18 "reconstruction: the final accuracy times the relative profile of ResNet-18 on CIFAR-100"
#define OWN_TEACHER                                                                                          \
  "sourced: CIFAR-100, quoted as the original result of Be Your Own Teacher (arXiv 1905.08094) in GitHub "   \
  "llf000000/llf000000-pytorch-be-your-own-teacher"
#define SHEWILL "sourced: ImageNet top-1 in GitHub MaybeShewill-CV/image-classification-tensorflow"

/* ---- AlexNet ------------------------------------------------------------------------------------------ */

static const ef_unit alexnet_units[] = {CONV("conv1", 64, 11, 4, 2),
                                        POOL("pool1", 3, 2, 0),
                                        CONV("conv2", 192, 5, 1, 2),
                                        POOL("pool2", 3, 2, 0),
                                        CONV("conv3", 384, 3, 1, 1),
                                        CONV("conv4", 256, 3, 1, 1),
                                        CONV("conv5", 256, 3, 1, 1),
                                        POOL("pool5", 3, 2, 0),
                                        FC("fc6", 4096),
                                        FC("fc7", 4096),
                                        FC("fc8", 1000),
                                        END};
static const ef_unit_exit alexnet_exits[] = {{"pool2", 47.87, PROFILE},
                                             {"conv4", 52.05, PROFILE},
                                             {"pool5", 52.77, PROFILE},
                                             {"fc8", 56.52, "recalled: ImageNet top-1 of torchvision"},
                                             {0}};
const ef_architecture ef_alexnet = {
    "alexnet", COMPUTED("alexnet") EF_POLICY_SOURCE("-1.97"), alexnet_units, alexnet_exits, true, -1.97};

/* ---- VGG-16 ------------------------------------------------------------------------------------------- */

static const ef_unit vgg16_units[] = {CONVS("conv1_", 64, 2),  POOL("pool1", 2, 2, 0),
                                      CONVS("conv2_", 128, 2), POOL("pool2", 2, 2, 0),
                                      CONVS("conv3_", 256, 3), POOL("pool3", 2, 2, 0),
                                      CONVS("conv4_", 512, 3), POOL("pool4", 2, 2, 0),
                                      CONVS("conv5_", 512, 3), POOL("pool5", 2, 2, 0),
                                      FC("fc6", 4096),         FC("fc7", 4096),
                                      FC("fc8", 1000),         END};
static const ef_unit_exit vgg16_exits[] = {{"pool2", 61.55, PROFILE},
                                           {"pool3", 66.95, PROFILE},
                                           {"pool4", 67.87, PROFILE},
                                           {"fc8", 72.675, SHEWILL},
                                           {0}};
const ef_architecture ef_vgg16 = {
    "vgg16", COMPUTED("vgg16") EF_POLICY_SOURCE("-3.77"), vgg16_units, vgg16_exits, true, -3.77};

/* ---- ResNet ------------------------------------------------------------------------------------------- */

static const ef_unit resnet34_units[] = {CONV("conv1", 64, 7, 2, 3),
                                         POOL("maxpool", 3, 2, 1),
                                         BASIC("res2_", 64, 1, 3),
                                         BASIC("res3_", 128, 2, 4),
                                         BASIC("res4_", 256, 2, 6),
                                         BASIC("res5_", 512, 2, 3),
                                         CLASSIFIER,
                                         END};
static const ef_unit_exit resnet34_exits[] = {{"res2_3", 63.25, PROFILE_18},
                                              {"res3_4", 69.52, PROFILE_18},
                                              {"res4_6", 72.93, PROFILE_18},
                                              {"pool+fc", 73.31, "recalled: ImageNet top-1 of torchvision"},
                                              {0}};
const ef_architecture ef_resnet34 = {
    "resnet34", COMPUTED("resnet34") EF_POLICY_SOURCE("-2.47"), resnet34_units, resnet34_exits, true, -2.47};

static const ef_unit resnet50_units[] = {CONV("conv1", 64, 7, 2, 3),
                                         POOL("maxpool", 3, 2, 1),
                                         BOTTLENECK("res2_", 64, 1, 3),
                                         BOTTLENECK("res3_", 128, 2, 4),
                                         BOTTLENECK("res4_", 256, 2, 6),
                                         BOTTLENECK("res5_", 512, 2, 3),
                                         CLASSIFIER,
                                         END};
static const ef_unit_exit resnet50_exits[] = {{"res2_3", 68.23, OWN_TEACHER},
                                              {"res3_4", 74.21, OWN_TEACHER},
                                              {"res4_6", 75.23, OWN_TEACHER},
                                              {"pool+fc", 80.56, OWN_TEACHER},
                                              {0}};
const ef_architecture ef_resnet50 = {"resnet50", COMPUTED("resnet50"), resnet50_units, resnet50_exits, false,
                                     0};

/* ---- MobileNet-v2 ------------------------------------------------------------------------------------- */

static const ef_unit mobilenet_v2_units[] = {CONV("conv1", 32, 3, 2, 1),
                                             INVERTED(1, 16, 1, 1, 1),
                                             INVERTED(6, 24, 2, 2, 2),
                                             INVERTED(6, 32, 2, 4, 3),
                                             INVERTED(6, 64, 2, 7, 4),
                                             INVERTED(6, 96, 1, 11, 3),
                                             INVERTED(6, 160, 2, 14, 3),
                                             INVERTED(6, 320, 1, 17, 1),
                                             CONV("conv_last", 1280, 1, 1, 0),
                                             CLASSIFIER,
                                             END};
static const ef_unit_exit mobilenet_v2_exits[] = {{"ir3", 60.84, PROFILE},
                                                  {"ir6", 66.17, PROFILE},
                                                  {"ir13", 67.08, PROFILE},
                                                  {"pool+fc", 71.834, SHEWILL},
                                                  {0}};
const ef_architecture ef_mobilenet_v2 = {
    "mobilenet_v2", COMPUTED("mobilenet_v2"), mobilenet_v2_units, mobilenet_v2_exits, false, 0};
