/** rtm_protocol of our routes: of the numbers that linux/rtnetlink.h leaves to administrators. */
export const RTPROT_IPIPOU = 148;
