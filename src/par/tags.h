/* Every message tag of the program. */
#pragma once

enum {
  EF_TAG_UPLOAD = 1,
  EF_TAG_TREE,         /* open nodes of a tree sum, and its segments */
  EF_TAG_LOGITS,       /* top-k logits of public text */
  EF_TAG_DOCTOR,       /* blocks of known values */
  EF_TAG_NODE_SIZES,   /* a swap in two levels: to the leader of the node ... */
  EF_TAG_NODE_UP,      /* ... */
  EF_TAG_NODE_DOWN,    /* ... and from it */
  EF_TAG_EXCHANGE = 16 /* experts: + EF_TAG_EXCHANGE_KINDS * layer + kind; the last of the list */
};
enum { EF_TAG_EXCHANGE_KINDS = 4 };
